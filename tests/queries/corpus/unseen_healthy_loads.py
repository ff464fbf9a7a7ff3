"""Reads that are in order although they look like what is not."""

# mypy: disable-error-code="union-attr"

from functools import cache, lru_cache

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Prefetch, Q, Sum, Window
from django.db.models.functions import RowNumber

from tests.library.models import AudioBook, Author, Book, Category, Note, Publisher, Reader
from tests.library.press import Article, Byline, Comment, Plan, Section, Subscription
from tests.queries.case import DUPLICATE, healthy


@healthy()
def link_to_the_parent():
    """A child has all columns of its parent: its link costs nothing."""
    return [audio.book_ptr.title for audio in AudioBook.objects.order_by("pk")]  # type: ignore[attr-defined]


@healthy()
def joins_of_a_manager():
    return [f"{a.section.title}: {a}" for a in Article.objects.for_listing()]


@healthy()
def levels_of_one_model():
    """Each level has the same shape: a list of keys in one table."""
    authors = Author.objects.prefetch_related("mentor__mentor__mentor").order_by("pk")
    return [author.mentor.mentor.mentor.name for author in authors]


@healthy()
def levels_of_a_tree():
    (root,) = Category.objects.filter(parent=None).prefetch_related("children__children__children")
    return sorted(leaf.name for branch in root.children.all() for leaf in branch.children.all())


@healthy()
def ranked_comments():
    ranked = Prefetch(
        "comments", queryset=Comment.objects.order_by("-likes")[:1], to_attr="most_liked"
    )
    articles = Article.objects.prefetch_related(ranked).order_by("number")
    return [[comment.likes for comment in article.most_liked] for article in articles]


@healthy()
def nested_prefetches():
    bylines = Prefetch("bylines", queryset=Byline.objects.select_related("author__publisher"))
    articles = Article.objects.published().prefetch_related(bylines)
    sections = Section.objects.select_related("head").prefetch_related(
        Prefetch("articles", queryset=articles, to_attr="out"), "allies"
    )
    return [
        (section.head.name, byline.author.publisher.name, len(section.allies.all()))
        for section in sections.order_by("pk")
        for article in section.out
        for byline in article.bylines.all()
    ]


@lru_cache(maxsize=16)
def size_of(city):
    return Publisher.objects.filter(city=city).count()


@healthy()
def remembered_by_city():
    """As many queries as there are cities: two, however many rows."""
    size_of.cache_clear()
    return sorted(size_of(publisher.city) // 100 for publisher in Publisher.objects.all())[:1]


@cache
def free_plan():
    return Plan.objects.order_by("monthly_price", "pk").first()


@healthy()
def remembered_default():
    free_plan.cache_clear()
    return {free_plan().name for _ in Subscription.objects.all()}


@healthy()
def table_of_keys():
    titles = dict(Section.objects.values_list("slug", "title"))
    return [titles[article.section_id] for article in Article.objects.order_by("number")]


@healthy()
def keys_are_no_rows():
    return sorted({a.section_id + str(a.photographer_id is None) for a in Article.objects.all()})


@healthy()
def by_another_field():
    Publisher.objects.filter(name="publisher 1").update(city="Faro")
    found = Section.objects.in_bulk(["s0", "s1", "s2"])
    return [section.title for section in found.values()], sorted(Plan.objects.in_bulk())[:3]


@healthy()
def evaluated_once():
    articles = Article.objects.select_related("section").order_by("number")
    total = len(articles)
    words = sum(article.words for article in articles)
    return total, words, [a.section.title for a in articles if a in articles], bool(articles)


@healthy()
def one_row_of_few_columns():
    article = Article.objects.only("headline").earliest("number")
    return article.headline, article.body[:10], article.status


@healthy()
def both_ends():
    articles = Article.objects.order_by("number")
    return articles.first().headline, articles.last().number > 0


@healthy()
def grouped_in_the_database():
    by_section = Article.objects.values("section__title").annotate(n=Count("pk"), w=Sum("words"))
    talk = dict(Comment.objects.values_list("article").annotate(n=Count("pk")).order_by("article"))
    return [row["n"] for row in by_section.order_by("section")], list(talk.values())


@healthy()
def windows_and_conditions():
    newest = Window(RowNumber(), partition_by=F("section"), order_by=F("number").desc())
    articles = Article.objects.annotate(
        rank=newest,
        answered=Exists(Comment.objects.filter(article=OuterRef("pk"), parent__isnull=False)),
    )
    return [(a.number, a.rank, a.answered) for a in articles.order_by("number")]


@healthy()
def filtered_relation():
    readers = Reader.objects.annotate(
        long=FilteredRelation("subscription", condition=Q(subscription__months__gt=1))
    ).filter(long__months__gt=0)
    return sorted(reader.name for reader in readers)


@healthy()
def relations_of_one_row():
    article = Article.objects.earliest("number")
    section, photographer = article.section, article.photographer
    return section.title, section.head.name, photographer.name, article.lead.role, str(article)


@healthy()
def known_from_where_it_came():
    section = Section.objects.earliest("slug")
    return [article.section.title for article in section.articles.all()]


@healthy()
def known_from_a_filtered_relation():
    sections = Section.objects.prefetch_related(
        Prefetch("articles", Article.objects.filter(words__gt=0), to_attr="long")
    )
    return [(a.section.title, a.number) for one in sections.order_by("pk") for a in one.long]


@healthy()
def joined_over_an_iterator():
    bylines = Byline.objects.select_related("article__section").order_by("pk")
    return sum(len(byline.article.section.title) for byline in bylines.iterator(chunk_size=3))


@healthy()
def rows_of_a_recursive_statement():
    sql = """
        WITH RECURSIVE below(id, name, depth) AS (
            SELECT id, name, 0 FROM library_category WHERE parent_id IS NULL
            UNION ALL
            SELECT c.id, c.name, depth + 1
            FROM library_category c JOIN below ON parent_id = below.id
        ) SELECT name, depth FROM below ORDER BY depth, name
    """
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@healthy()
def content_types_at_once():
    kinds = ContentType.objects.get_for_models(Article, Section, Plan)
    notes = Note.objects.filter(content_type=ContentType.objects.get_for_model(Book))
    return sorted(kind.model for kind in kinds.values()), len(notes)


@healthy()
def permissions():
    user = get_user_model().objects.create(username="member")
    user = get_user_model().objects.get(username="member")
    wanted = ("library.add_article", "library.change_article", "library.view_plan")
    return [user.has_perm(name) for name in wanted], user.has_module_perms("library")


@healthy()
def same_shape_on_many_lines():
    politics = Section.objects.get(slug="s0")
    sports = Section.objects.get(slug="s1")
    culture = Section.objects.get(slug="s2")
    return [politics.title, sports.title, culture.title]


@healthy()
def literal_of_counts():
    return {
        "short": Article.objects.filter(words__lt=110).count(),
        "middle": Article.objects.filter(words__lt=140).count(),
        "long": Article.objects.filter(words__lt=900).count(),
        "liked": Comment.objects.filter(likes__gt=2).count(),
        "loved": Comment.objects.filter(likes__gt=9).count(),
    }


@healthy()
def different_order_each_time():
    fields = ("number", "words", "headline", "-pk")
    return [Article.objects.order_by(field).first().number for field in fields]


@healthy()
def different_filters_each_time():
    filters: tuple[dict[str, object], ...] = (
        {"status": "published"},
        {"words__gt": 110},
        {"section__title": "section 1"},
        {"comments__likes__gt": 1},
    )
    return [Article.objects.filter(**one).count() > 0 for one in filters]


@healthy(DUPLICATE)
def steps_ask_anew():
    """Each step looks at the state that the one before it left."""
    counts = [Article.objects.published().count()]
    Article.objects.earliest("number").publish()
    counts.append(Article.objects.published().count())
    Article.objects.latest("number").publish()
    counts.append(Article.objects.published().count())
    return counts[0] - counts[-1]
