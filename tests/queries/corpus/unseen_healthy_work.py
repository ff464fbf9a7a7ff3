"""Programs that are in order: batches, polls, claims, factories, pages."""

# mypy: disable-error-code="union-attr"

from collections import defaultdict

from django import forms
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.test import Client

from tests.library import press_views  # noqa: F401  (registers the admin's classes)
from tests.library.models import AudioBook, Author, Reader, Setting, Tag
from tests.library.press import Article, Byline, Comment, Plan, Section
from tests.queries.case import DUPLICATE, N_PLUS_ONE, REVIEW, get, healthy
from tests.queries.corpus.healthy_batches import chunks


def make_article(headline, **more):
    """Make one as the tests of a project do."""
    more.setdefault("section", Section.objects.earliest("slug"))
    return Article.objects.create(headline=headline, **more)


@healthy(DUPLICATE)
def factory_on_separate_lines():
    first = make_article("first", words=1)
    second = make_article("second", words=2)
    third = make_article("third", words=3, status="draft")
    second.see_also.add(first, third)
    return first.words + second.words + third.words


@healthy()
def child_rows_on_separate_lines():
    author, reader = Author.objects.earliest("pk"), Reader.objects.earliest("pk")
    one = AudioBook.objects.create(title="one", author=author, narrator=reader)
    two = AudioBook.objects.create(title="two", author=author, narrator=reader)
    return one.title, two.title


@healthy()
def conflicts_are_ignored():
    plans = [Plan(code=f"p{i}", name="again") for i in range(Plan.objects.count())]
    Plan.objects.bulk_create(plans, ignore_conflicts=True)
    return Plan.objects.filter(name="again").count()


@healthy()
def updated_as_a_set():
    Article.objects.filter(words__lt=120).update(words=F("words") * 2, status="draft")
    Article.objects.filter(status="published").update(number=F("number") + 1000)
    return Comment.objects.filter(article__status="draft").delete()[0] > 0


@healthy()
def one_object_and_all_below_it():
    """Django looks for what hangs on it, table by table."""
    section = Section.objects.earliest("slug")
    return section.delete()[0] > 0, Article.objects.filter(section_id="s0").count()


@healthy()
def copied_object():
    article = Article.objects.earliest("number")
    writers = list(article.writers.all())
    article.pk, article.headline = None, "copy"
    article.save()
    article.writers.set(writers, through_defaults={"role": "copied"})
    return Byline.objects.filter(role="copied").count()


@healthy()
def several_at_once():
    tags = Tag.objects.bulk_create([Tag(name=name) for name in ("a", "b", "c")])
    article = Article.objects.earliest("number")
    article.writers.add(*Author.objects.order_by("-pk")[:2])
    article.see_also.set(Article.objects.exclude(pk=article.pk))
    return len(tags)


@healthy(growth=8)
def claimed_in_batches():
    sent = 0
    while True:
        with transaction.atomic():
            waiting = Article.objects.select_for_update(skip_locked=connection.vendor != "sqlite")
            batch = list(waiting.filter(status="published").order_by("pk")[:4])
            if not batch:
                return sent
            Article.objects.filter(pk__in=[a.pk for a in batch]).update(status="sent")
            sent += len(batch)


@healthy(growth=3)
def pages_with_joins():
    paginator = Paginator(Article.objects.select_related("section").order_by("number"), 4)
    return [[str(article) for article in paginator.page(n)] for n in paginator.page_range]


@healthy(growth=6)
def chunks_with_prefetch():
    """The rows in hand are given what they need, so many at a time."""
    names = []
    keys = list(Article.objects.order_by("number").values_list("pk", flat=True))
    for some in chunks(keys, 4):
        articles = Article.objects.filter(pk__in=some).prefetch_related("writers")
        names += [sorted(w.name for w in article.writers.all()) for article in articles]
    return names


@healthy(growth=3)
def bulk_update_in_parts():
    articles = list(Article.objects.order_by("number"))
    for article in articles:
        article.words += article.number
    return Article.objects.bulk_update(articles, ["words"], batch_size=4)


@healthy(DUPLICATE)
def poll_for_news():
    """Ask from where it stopped: the first time there is something, then nothing."""
    last, heard = 0, []
    for _ in range(3):
        for comment in Comment.objects.filter(pk__gt=last).order_by("pk"):
            heard.append(comment.text)
            last = comment.pk
    return heard


@healthy(DUPLICATE)
def wait_for_a_state():
    article = Article.objects.earliest("number")
    for attempt in range(1, 4):
        state = Article.objects.values_list("status", flat=True).get(pk=article.pk)
        if state == "printed":
            return attempt
        if attempt == 2:
            Article.objects.filter(pk=article.pk).update(status="printed")
    return None


@healthy(DUPLICATE)
def heartbeat():
    for _ in range(4):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    return Setting.objects.filter(key="limit").update(value="alive")


@healthy()
def optimistic_lock():
    article = Article.objects.earliest("number")
    while not Article.objects.filter(pk=article.pk, words=article.words).update(words=1):
        article.refresh_from_db()
    return Article.objects.get(pk=article.pk).words


@healthy(REVIEW)
def up_the_replies():
    comment = Comment.objects.filter(parent__isnull=False).order_by("pk").first()
    path = []
    while comment is not None:
        path.append(comment.text)
        comment = comment.parent
    return path


@healthy()
def tree_in_memory():
    children: dict[int | None, list[Comment]] = defaultdict(list)
    for comment in Comment.objects.select_related("reader").order_by("pk"):
        children[comment.parent_id].append(comment)

    def thread(parent):
        return [(c.reader.name, thread(c.pk)) for c in children[parent]]

    return thread(None)


class CommentForm(forms.ModelForm):
    class Meta:
        model = Comment
        fields = ("article", "reader", "text")


@healthy()
def one_form():
    form = CommentForm()
    article, reader = Article.objects.earliest("pk"), Reader.objects.earliest("pk")
    posted = CommentForm({"article": article.pk, "reader": reader.pk, "text": "said"})
    return "said" in str(posted.save()), len(form.fields)


@healthy()
def front_page():
    return get("/press/front/")


@healthy()
def figures_of_a_view():
    return get("/press/figures/")


def chief():
    user = get_user_model().objects.create(username="admin", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    return client


@healthy()
def admin_list_with_filter():
    return get("/admin/library/plan/", chief()).count("plan 1")


@healthy()
def admin_form():
    section = Section.objects.earliest("slug")
    return get(f"/admin/library/section/{section.pk}/change/", chief()).count("section 0")


@healthy()
def admin_index():
    return "Articles" in get("/admin/", chief())


@healthy(DUPLICATE, N_PLUS_ONE)
def pages_one_after_the_other():
    """Each page is a request of its own."""
    client = Client()
    keys = list(Article.objects.order_by("pk").values_list("pk", flat=True)[:3])
    return [len(get(f"/press/articles-fixed/{key}/", client)) > 0 for key in keys]


@healthy()
def loaded_for_a_template():
    written = Article.objects.prefetch_related("writers").order_by("pk")
    placed = Article.objects.select_related("section").order_by("pk")
    return [
        len(render_to_string("library/press/filtered.html", {"articles": written})),
        len(render_to_string("library/press/with.html", {"articles": placed})),
    ]


@healthy()
def hook_after_one_commit():
    told: list[int] = []
    with transaction.atomic():
        article = Article.objects.earliest("number")
        article.publish()
        transaction.on_commit(lambda: told.append(Article.objects.get(pk=article.pk).pk))
    return len(told)


@healthy()
def rolled_back_step():
    made = []
    for name, spoil in (("good", False), ("bad", True)):
        try:
            with transaction.atomic():
                if spoil:
                    raise ValueError(name)
                made.append(Tag.objects.create(name=name).name)
        except ValueError:
            continue
    return made


@healthy()
def made_unless_there():
    free, new = Plan.objects.get_or_create(code="free", defaults={"name": "Free"})
    same, again = Plan.objects.get_or_create(code="free", defaults={"name": "Other"})
    paid, changed = Plan.objects.update_or_create(code="p0", defaults={"name": "Paid"})
    return free == same, new, again, paid.name, changed


@healthy()
def executemany_of_updates():
    rows = [(n, n + 1) for n in Article.objects.order_by("number").values_list("number", flat=True)]
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE library_article SET words = %s WHERE number = %s", rows)
    return len(rows)
