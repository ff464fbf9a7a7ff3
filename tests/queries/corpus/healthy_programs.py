"""Repetition that is meant: retries, polls, claims, fixtures, steps of a program."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache

from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.test import Client

from tests.library.helpers import retrying, setting
from tests.library.models import Author, Book, Category, Order, Publisher, Reader, Setting, Tag
from tests.queries.case import (
    DUPLICATE,
    N_PLUS_ONE,
    REVIEW,
    get,
    healthy,
    run_loop,
)
from tests.queries.corpus.templates import page


@healthy(DUPLICATE)
def retries():
    return retrying(lambda: Order.objects.filter(status="sent").first(), times=4)


@healthy(DUPLICATE)
def poll():
    for attempt in range(5):
        if Order.objects.filter(status="new").count() > 100:
            return attempt
    return None


@healthy(DUPLICATE)
def poll_until_done():
    rounds = 0
    while Tag.objects.filter(name__startswith="round").count() < 1:
        rounds += 1
        if rounds == 3:
            Tag.objects.create(name="round 3")
    return rounds


@healthy(DUPLICATE)
def setting_here_and_there():
    limit = setting("limit")
    theme = setting("theme")
    again = setting("limit")
    return limit, theme, again


@lru_cache(maxsize=8)
def remembered(key):
    return Setting.objects.get(key=key).value


@healthy()
def remembered_settings():
    remembered.cache_clear()
    return [remembered("limit") for _ in Book.objects.all()][:1]


class Shelf:
    def __init__(self, author):
        self.author = author

    @cached_property
    def books(self):
        return list(self.author.books.order_by("pk"))


@healthy()
def cached_in_the_object():
    shelf = Shelf(Author.objects.earliest("pk"))
    return len(shelf.books), [book.title for book in shelf.books], shelf.books[0].pages


@healthy()
def fixtures_on_separate_lines():
    novel = Tag.objects.create(name="novel")
    poem = Tag.objects.create(name="poem")
    Tag.objects.create(name="essay")
    book = Book.objects.earliest("pk")
    book.tags.add(novel)
    book.tags.add(poem)
    return sorted(str(tag) for tag in book.tags.all())[-2:]


@healthy()
def savepoints():
    outcome = []
    with transaction.atomic():
        for _ in range(4):
            sid = transaction.savepoint()
            outcome.append(bool(sid))
            transaction.savepoint_rollback(sid)
    return outcome


@healthy()
def nested_transactions():
    with transaction.atomic():
        Tag.objects.create(name="outer")
        with transaction.atomic():
            Publisher.objects.create(name="inner")
            with transaction.atomic():
                Reader.objects.create(name="innermost")
    return Tag.objects.filter(name="outer").count()


@healthy()
def conflict():
    try:
        with transaction.atomic():
            Setting.objects.create(key="limit", value="11")
    except IntegrityError:
        Setting.objects.filter(key="limit").update(value="11")
    return Setting.objects.get(key="limit").value


@healthy()
def get_or_create_once():
    tag, made = Tag.objects.get_or_create(name="only")
    same, again = Tag.objects.get_or_create(name="only")
    return tag == same, made, again


@healthy(REVIEW)
def queue_claim():
    """A worker takes one order at a time, that another may not have."""
    numbers = []
    for _ in range(3):
        with transaction.atomic():
            free = Order.objects.select_for_update().filter(status="new").order_by("number")
            if (order := free.first()) is None:
                break
            Order.objects.filter(pk=order.pk).update(status=f"taken {order.number}")
            numbers.append(order.number)
    return numbers


class SettingForm(forms.ModelForm):
    class Meta:
        model = Setting
        fields = ("key", "value")


@healthy(REVIEW)
def unique_in_forms():
    posts = [{"key": key, "value": "1"} for key in ("limit", "theme", "fresh")]
    return [SettingForm(post).is_valid() for post in posts]


@healthy(REVIEW)
def up_a_tree():
    return Category.objects.get(name="leaf 1").path()


@healthy(REVIEW)
def up_a_tree_by_hand():
    node, names = Category.objects.filter(name="leaf 2").first(), []
    while node is not None:
        names.append(node.name)
        node = node.parent
    return names


@healthy(REVIEW)
def down_two_levels_of_one_branch():
    def first_of(category, depth):
        child = category.children.order_by("pk").first() if depth else None
        return [category.name, *(first_of(child, depth - 1) if child else [])]

    return first_of(Category.objects.get(name="root"), 2)


@healthy()
def session_and_user():
    client = Client()
    client.force_login(get_user_model().objects.create(username="reader"))
    return [get("/me/", client), get("/dashboard/")]


@healthy(DUPLICATE, N_PLUS_ONE)
def several_requests():
    """A test asks for three pages: each is a request of its own."""
    client = Client()
    ids = list(Publisher.objects.order_by("pk").values_list("pk", flat=True)[:3])
    return [get(f"/publishers/{pk}/", client) for pk in ids]


@healthy()
def detail_page():
    return get(f"/authors/{Author.objects.earliest('pk').pk}/")


@healthy()
def admin_changelist():
    client = Client()
    client.force_login(
        get_user_model().objects.create(username="chief", is_staff=True, is_superuser=True)
    )
    return get("/admin/library/book/", client).count("author"), get(
        "/admin/library/order/", client
    ).count("new")


@healthy()
def page_of_a_template():
    from django.core.paginator import Paginator

    books = Book.objects.select_related("author").order_by("pk")
    return page("page", page=Paginator(books, 2).get_page(1))


@healthy()
def template_keeps_a_variable():
    return page("cached", book=Book.objects.earliest("pk"))


@healthy()
def single_async_queries():
    async def main():
        first = await Author.objects.order_by("pk").aget(name="author 0")
        count = await Book.objects.acount()
        found = await Publisher.objects.aget(pk=first.publisher_id)
        return first.name, count, found.name, [t.name async for t in Tag.objects.order_by("pk")]

    return async_to_sync(main)()


@healthy(committed=True)
def async_prefetch():
    async def main():
        authors = Author.objects.select_related("publisher").prefetch_related("books")
        return [
            (author.publisher.name, len(author.books.all()))
            async for author in authors.order_by("pk")
        ]

    return run_loop(main())


@healthy(committed=True)
def threads_with_a_query_each():
    def ask(question):
        try:
            return question()
        finally:
            connection.close()

    questions = [Author.objects.count, Book.objects.count, Tag.objects.order_by("pk").first]
    with ThreadPoolExecutor(3) as pool:
        return [str(answer) for answer in pool.map(ask, questions)]


@healthy()
def two_saves_of_one_object():
    """By two steps of a program, on lines of their own."""
    book = Book.objects.earliest("pk")
    book.pages = 7
    book.save()
    book.price = 8
    book.save(update_fields=["price"])
    return book.pages, book.price


@healthy()
def different_questions_in_a_loop():
    return [model.objects.count() for model in (Author, Book, Tag, Reader)]
