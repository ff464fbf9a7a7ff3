"""Rows that are written, linked and removed one at a time."""

# mypy: disable-error-code="union-attr"

from contextlib import contextmanager

from django import forms
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, When
from django.db.models.signals import post_save

from tests.library.models import Author, Setting, Tag
from tests.library.press import Article, Byline, Comment, Plan, Section
from tests.queries.case import (
    BATCH,
    BULK_CREATE,
    BULK_DELETE,
    BULK_UPDATE,
    MANY,
    SQL_SET,
    Fix,
    annotated,
    fixes,
)
from tests.queries.corpus.writes import LOOKED_UP, WRITES

CASES_OF = Fix(r"\bCASE\b|Case\(|When\(")
LINKS = Fix(r"through|bulk_create\(|__in\s*=|\.set\((?!\[main\])|\.add\(\*")


def words():
    return sorted(Article.objects.values_list("words", flat=True))


def amount_for_each():
    more = {pk: number for number, pk in enumerate(Article.objects.values_list("pk", flat=True))}
    for pk, amount in more.items():
        Article.objects.filter(pk=pk).update(words=F("words") + amount)  # <- here
    return sum(words())


@fixes(amount_for_each, BULK_UPDATE, CASES_OF, kinds=WRITES)
def amount_for_each_fixed():
    keys = Article.objects.values_list("pk", flat=True)
    cases = [When(pk=pk, then=F("words") + number) for number, pk in enumerate(keys)]
    Article.objects.update(words=Case(*cases))
    return sum(words())


def own_method():
    with transaction.atomic():
        for article in Article.objects.published():
            article.publish()
    return Article.objects.filter(status="printed").count()


@fixes(own_method, BULK_UPDATE, kinds=WRITES, here=Article.publish)
def own_method_fixed():
    Article.objects.published().update(status="printed")
    return Article.objects.filter(status="printed").count()


def through_rows():
    editor = Author.objects.earliest("pk")
    for article in Article.objects.order_by("number"):
        Byline.objects.create(article=article, author=editor, role="edit", position=9)  # <- here
    return Byline.objects.filter(role="edit").count()


@fixes(through_rows, BULK_CREATE, kinds=WRITES)
def through_rows_fixed():
    editor = Author.objects.earliest("pk")
    Byline.objects.bulk_create(
        Byline(article=article, author=editor, role="edit", position=9)
        for article in Article.objects.order_by("number")
    )
    return Byline.objects.filter(role="edit").count()


def set_for_each():
    main = Article.objects.earliest("pk")
    for article in Article.objects.exclude(pk=main.pk):
        article.see_also.set([main])  # <- here
    return main.seen_from.count()


@fixes(set_for_each, LINKS, kinds=LOOKED_UP)
def set_for_each_fixed():
    main = Article.objects.earliest("pk")
    link = Article.see_also.through
    link.objects.exclude(from_article=main).delete()
    others = Article.objects.exclude(pk=main.pk)
    link.objects.bulk_create(link(from_article=one, to_article=main) for one in others)
    return main.seen_from.count()


def removed_one_by_one():
    for one in Article.objects.prefetch_related("seen_from"):
        one.see_also.clear()  # <- here
    return Article.objects.filter(see_also__isnull=False).count()


@fixes(removed_one_by_one, Fix(r"through|__in\s*="), BULK_DELETE, kinds=LOOKED_UP)
def removed_one_by_one_fixed():
    Article.see_also.through.objects.all().delete()
    return Article.objects.filter(see_also__isnull=False).count()


def ally_removed():
    first = Section.objects.earliest("slug")
    for section in Section.objects.exclude(pk=first.pk).order_by("pk"):
        section.allies.remove(first)  # <- here
    return first.allies.count()


@fixes(ally_removed, Fix(r"through|__in\s*=|\.set\(\[|\.remove\(\*|\.clear\("), kinds=LOOKED_UP)
def ally_removed_fixed():
    first = Section.objects.earliest("slug")
    first.allies.clear()
    return first.allies.count()


def related_rows_deleted():
    for article in Article.objects.filter(words__gte=100):
        article.comments.all().delete()  # <- here
    return Comment.objects.count()


@fixes(
    related_rows_deleted,
    Fix(r"__in\s*=[^\n]*\.delete\(\)|Comment\.objects\.[^\n]*delete\(\)"),
    kinds=LOOKED_UP,
)
def related_rows_deleted_fixed():
    Comment.objects.filter(article__words__gte=100).delete()
    return Comment.objects.count()


def fetched_and_deleted():
    keys = list(Byline.objects.values_list("pk", flat=True))
    for key in keys:
        Byline.objects.get(pk=key).delete()  # <- here
    return Byline.objects.count()


@fixes(fetched_and_deleted, BULK_DELETE, BATCH, kinds=LOOKED_UP)
def fetched_and_deleted_fixed():
    Byline.objects.filter(pk__in=list(Byline.objects.values_list("pk", flat=True))).delete()
    return Byline.objects.count()


def upsert(row):
    Plan.objects.update_or_create(code=row["code"], defaults={"name": row["name"]})  # <- here


def synchronised():
    rows = [{"code": f"p{i}", "name": f"new {i}"} for i in range(Plan.objects.count() + 1)]
    for row in rows:
        upsert(row)
    return sorted(map(str, Plan.objects.all()))


@fixes(synchronised, BULK_CREATE, BATCH, kinds=LOOKED_UP, here=upsert)
def synchronised_fixed():
    plans = [Plan(code=f"p{i}", name=f"new {i}") for i in range(Plan.objects.count() + 1)]
    Plan.objects.bulk_create(
        plans, update_conflicts=True, update_fields=["name"], unique_fields=["code"]
    )
    return sorted(map(str, Plan.objects.all()))


def tried_and_refused():
    made = 0
    for author in Author.objects.order_by("pk"):
        try:
            with transaction.atomic():
                Plan.objects.create(code=f"p{author.name[-1]}", name=author.name)  # <- here
                made += 1
        except IntegrityError:
            continue
    return made, Author.objects.count()


@fixes(tried_and_refused, BULK_CREATE, BATCH, kinds=WRITES)
def tried_and_refused_fixed():
    plans = [Plan(code=f"p{author.name[-1]}", name=author.name) for author in Author.objects.all()]
    before = Plan.objects.count()
    Plan.objects.bulk_create(plans, ignore_conflicts=True)
    return Plan.objects.count() - before, len(plans)


def locked_one_by_one():
    keys = list(Article.objects.order_by("pk").values_list("pk", flat=True))
    with transaction.atomic():
        for key in keys:
            article = Article.objects.select_for_update().get(pk=key)  # <- here
            article.words += 1
            article.save(update_fields=["words"])  # <- here
    return words()


@fixes(locked_one_by_one, BATCH, BULK_UPDATE, kinds=LOOKED_UP)
def locked_one_by_one_fixed():
    Article.objects.update(words=F("words") + 1)
    return words()


def lists_of_one():
    """The bulk method is there, inside the loop."""
    for name in list(Section.objects.values_list("title", flat=True)):
        Tag.objects.bulk_create([Tag(name=name)])  # <- here
    return Tag.objects.count()


@fixes(lists_of_one, Fix(r"bulk_create\((?!\[Tag\(name=name\)\])"), kinds=WRITES)
def lists_of_one_fixed():
    names = Section.objects.values_list("title", flat=True)
    Tag.objects.bulk_create([Tag(name=name) for name in names])
    return Tag.objects.count()


def update_by_hand():
    rows = list(Article.objects.values_list("pk", "words"))
    sql = "UPDATE library_article SET words = %s WHERE id = %s"
    with connection.cursor() as cursor:
        for pk, size in rows:
            cursor.execute(sql, [2 * size, pk])  # <- here
    return words()


@fixes(update_by_hand, MANY, SQL_SET, CASES_OF, kinds=WRITES)
def update_by_hand_fixed():
    rows = list(Article.objects.values_list("pk", "words"))
    sql = "UPDATE library_article SET words = %s WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.executemany(sql, [(2 * size, pk) for pk, size in rows])
    return words()


def recount(sender, instance, **kwargs):
    instance.article.number = Comment.objects.filter(article=instance.article).count()  # <- here


@contextmanager
def counting():
    post_save.connect(recount, sender=Comment)
    try:
        yield
    finally:
        post_save.disconnect(recount, sender=Comment)


def handler_of_a_signal():
    articles = list(Article.objects.order_by("number"))
    reader = Comment.objects.earliest("pk").reader
    with counting():
        for article in articles:
            Comment.objects.create(article=article, reader=reader, text="new")
    return [article.number for article in articles]


@fixes(
    handler_of_a_signal,
    annotated("Count", "comments"),
    annotated("Count"),
    Fix(r"GROUP BY|\.values\([^)]*\)\s*\.annotate\("),
    BULK_CREATE,
    kinds=LOOKED_UP,
    here=recount,
)
def handler_of_a_signal_fixed():
    articles = list(Article.objects.order_by("number").prefetch_related("comments"))
    reader = Comment.objects.earliest("pk").reader
    Comment.objects.bulk_create(Comment(article=a, reader=reader, text="new") for a in articles)
    return [len(article.comments.all()) + 1 for article in articles]


class SettingForm(forms.ModelForm):
    class Meta:
        model = Setting
        fields = ("key", "value")


def form_for_each():
    for name in list(Section.objects.values_list("title", flat=True)):
        form = SettingForm({"key": name, "value": "on"})
        if form.is_valid():  # <- here
            form.save()  # <- here
    return Setting.objects.filter(value="on").count()


@fixes(form_for_each, BULK_CREATE, BATCH, kinds=LOOKED_UP)
def form_for_each_fixed():
    names = list(Section.objects.values_list("title", flat=True))
    known = set(Setting.objects.filter(key__in=names).values_list("key", flat=True))
    Setting.objects.bulk_create(Setting(key=n, value="on") for n in names if n not in known)
    return Setting.objects.filter(value="on").count()
