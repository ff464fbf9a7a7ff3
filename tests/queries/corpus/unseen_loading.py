"""Loaded, but not what is read: too short a join, an unused prefetch, too few columns."""

# mypy: disable-error-code="union-attr"

from django.db.models import Count, Prefetch

from tests.library.models import AudioBook, Book
from tests.library.press import Article, Byline, Comment, Section
from tests.queries.case import (
    BATCH,
    UNUSED,
    Fix,
    annotated,
    fixes,
    join,
    narrowed,
    prefetch,
    read_whole,
)
from tests.queries.corpus.deferred import loaded
from tests.queries.corpus.prefetch_thrown_away import MORE


def join_ends_too_early():
    names = []
    comments = Comment.objects.select_related("article__section", "reader")  # <- queryset
    for comment in comments.order_by("pk"):
        names.append((comment.reader.name, comment.article.section.head.name))  # <- here
    return names


@fixes(join_ends_too_early, join("article__section__head"))
def join_ends_too_early_fixed():
    comments = Comment.objects.select_related("article__section__head", "reader").order_by("pk")
    return [(c.reader.name, c.article.section.head.name) for c in comments]


def sliced_anew():
    tops = {}
    for article in Article.objects.prefetch_related("comments").order_by("pk"):  # <- queryset
        best = article.comments.order_by("-likes", "pk")[:1]
        tops[article.number] = [comment.text for comment in best]  # <- here
    return tops


@fixes(sliced_anew, narrowed("comments"), annotated("Subquery"), **MORE)
def sliced_anew_fixed():
    ordered = Prefetch("comments", Comment.objects.order_by("-likes", "pk"), to_attr="ranked")
    articles = Article.objects.prefetch_related(ordered).order_by("pk")
    return {article.number: [c.text for c in article.ranked[:1]] for article in articles}


def got_one_of_a_prefetch():
    firsts = []
    for article in Article.objects.prefetch_related("bylines").order_by("number"):  # <- queryset
        firsts.append(article.bylines.get(position=1).author_id is None)  # <- here
    return firsts


@fixes(got_one_of_a_prefetch, narrowed("bylines"), read_whole("bylines", True), **MORE)
def got_one_of_a_prefetch_fixed():
    articles = Article.objects.prefetch_related("bylines").order_by("number")
    found = [[b for b in a.bylines.all() if b.position == 1] for a in articles]
    return [one.author_id is None for (one,) in found]


def latest_of_a_prefetch():
    said = []
    articles = Article.objects.order_by("number").prefetch_related("comments")  # <- queryset
    for article in articles:
        said.append(article.comments.latest("pk").text)  # <- here
    return said


@fixes(
    latest_of_a_prefetch,
    narrowed("comments"),
    annotated("Subquery|Max"),
    read_whole("comments", True),
    **MORE,
)
def latest_of_a_prefetch_fixed():
    articles = Article.objects.order_by("number").prefetch_related("comments")
    return [max(a.comments.all(), key=lambda c: c.pk).text for a in articles]


def exists_of_a_filtered_prefetch():
    liked = 0
    for section in Section.objects.prefetch_related("articles"):  # <- queryset
        if section.articles.filter(words__gt=100).exists():  # <- here
            liked += 1
    return liked


@fixes(
    exists_of_a_filtered_prefetch,
    annotated("Exists|Count"),
    Fix(r"Exists\("),
    narrowed("articles"),
    read_whole("articles", True),
    **MORE,
)
def exists_of_a_filtered_prefetch_fixed():
    sections = Section.objects.prefetch_related("articles")
    return sum(any(a.words > 100 for a in section.articles.all()) for section in sections)


STORED = Prefetch("comments", queryset=Comment.objects.order_by("pk"), to_attr="stored")


def stored_elsewhere():
    """The prefetch puts its rows into an attribute, and the code reads the manager."""
    texts = []
    for article in Article.objects.prefetch_related(STORED).order_by("pk"):  # <- queryset
        texts.append([comment.text for comment in article.comments.order_by("pk")])  # <- here
    return texts


@fixes(stored_elsewhere, narrowed("comments"), Fix(r"\.stored\b"), **MORE)
def stored_elsewhere_fixed():
    articles = Article.objects.prefetch_related(STORED).order_by("pk")
    return [[comment.text for comment in article.stored] for article in articles]


def key_left_out():
    """The column of the key is asked for, then the row that it points at."""
    titles = []
    for article in Article.objects.only("headline").order_by("pk"):  # <- queryset
        titles.append(article.section.title)  # <- here
    return titles


@fixes(key_left_out, join("section"), loaded("section(_id)?"))
def key_left_out_fixed():
    articles = Article.objects.select_related("section").only("headline", "section__title")
    return [article.section.title for article in articles.order_by("pk")]


def column_of_a_prefetch():
    articles = Prefetch("articles", queryset=Article.objects.only("section", "headline"))
    lengths = {}
    for section in Section.objects.prefetch_related(articles).order_by("pk"):
        lengths[section.slug] = [len(a.body) for a in section.articles.all()]  # <- here
    return lengths


@fixes(column_of_a_prefetch, loaded("body"))
def column_of_a_prefetch_fixed():
    articles = Prefetch("articles", queryset=Article.objects.only("section", "body"))
    sections = Section.objects.prefetch_related(articles).order_by("pk")
    return {section.slug: [len(a.body) for a in section.articles.all()] for section in sections}


def rows_as_dicts():
    rows = Article.objects.order_by("number").values("headline", "section_id")  # <- queryset
    out = []
    for row in rows:
        section = Section.objects.get(slug=row["section_id"])  # <- here
        out.append({**row, "section": section.title})
    return out


WITH_VALUES = Fix(r"values(_list)?\([^)]*section__")


@fixes(rows_as_dicts, BATCH, join("section"), WITH_VALUES)
def rows_as_dicts_fixed():
    rows = list(Article.objects.order_by("number").values("headline", "section_id"))
    titles = {s.slug: s.title for s in Section.objects.in_bulk().values()}
    return [{**row, "section": titles[row["section_id"]]} for row in rows]


def iterator_without_a_join():
    count = 0
    for byline in Byline.objects.filter(position=0).iterator(chunk_size=100):  # <- queryset
        count += len(byline.author.name) + byline.article_id - byline.article_id  # <- here
    return count


@fixes(iterator_without_a_join, join("author"))
def iterator_without_a_join_fixed():
    bylines = Byline.objects.filter(position=0).select_related("author")
    return sum(len(byline.author.name) for byline in bylines.iterator(chunk_size=100))


def raw_with_few_columns():
    sql = "SELECT id, number FROM library_article ORDER BY number"
    return [article.headline for article in Article.objects.raw(sql)]  # <- here


@fixes(raw_with_few_columns, loaded("headline"), Fix(r"(SELECT|columns?|raw)\b[^\n]*headline"))
def raw_with_few_columns_fixed():
    sql = "SELECT id, number, headline FROM library_article ORDER BY number"
    return [article.headline for article in Article.objects.raw(sql)]


def union_of_two():
    short = Article.objects.filter(words__lte=110)  # <- queryset
    both = short.union(Article.objects.filter(words__gt=110)).order_by("number")  # <- queryset
    return [(article.number, article.section.title) for article in both]  # <- here


@fixes(union_of_two, join("section"))
def union_of_two_fixed():
    articles = Article.objects.select_related("section")
    both = articles.filter(words__lte=110).union(articles.filter(words__gt=110))
    return [(article.number, article.section.title) for article in both.order_by("number")]


def rows_by_key():
    keys = list(Article.objects.order_by("-number").values_list("pk", flat=True))
    articles = Article.objects.in_bulk(keys)  # <- queryset
    return [articles[key].section.title for key in keys]  # <- here


@fixes(rows_by_key, join("section"))
def rows_by_key_fixed():
    keys = list(Article.objects.order_by("-number").values_list("pk", flat=True))
    articles = Article.objects.select_related("section").in_bulk(keys)
    return [articles[key].section.title for key in keys]


def annotated_rows():
    talk = Article.objects.annotate(n=Count("comments")).filter(n__gt=0)  # <- queryset
    return {a.headline: (a.n, a.photographer.name) for a in talk.order_by("-n", "pk")}  # <- here


@fixes(annotated_rows, join("photographer"))
def annotated_rows_fixed():
    talk = Article.objects.annotate(n=Count("comments")).filter(n__gt=0)
    talk = talk.select_related("photographer")
    return {a.headline: (a.n, a.photographer.name) for a in talk.order_by("-n", "pk")}


def columns_of_the_parent():
    """The columns of a child's parent lie in another table."""
    audios = AudioBook.objects.defer("text").order_by("minutes", "pk")  # <- queryset
    return [len(audio.text) for audio in audios]  # <- here


@fixes(columns_of_the_parent, loaded("text"))
def columns_of_the_parent_fixed():
    return [len(audio.text) for audio in AudioBook.objects.order_by("minutes", "pk")]


def child_of_a_joined_row():
    minutes = []
    books = Book.objects.filter(audiobook__minutes__gt=0).order_by("pk")  # <- queryset
    for book in books.select_related("audiobook"):  # <- queryset
        minutes.append((book.audiobook.minutes, book.audiobook.narrator.name))  # <- here
    return minutes


@fixes(child_of_a_joined_row, join("audiobook__narrator"), accepted=frozenset({UNUSED}))
def child_of_a_joined_row_fixed():
    books = Book.objects.filter(audiobook__minutes__gt=0).order_by("pk")
    books = books.select_related("audiobook__narrator")
    return [(book.audiobook.minutes, book.audiobook.narrator.name) for book in books]


def prefetch_of_one_level():
    heads: dict[str, set[str]] = {}
    sections = Section.objects.prefetch_related("articles__bylines")  # <- queryset
    for section in sections.order_by("pk"):
        for article in section.articles.all():
            for byline in article.bylines.all():
                heads.setdefault(section.slug, set()).add(byline.author.name)  # <- here
    return heads


@fixes(prefetch_of_one_level, prefetch("articles__bylines__author"))
def prefetch_of_one_level_fixed():
    sections = Section.objects.prefetch_related("articles__bylines__author").order_by("pk")
    return {
        section.slug: {b.author.name for a in section.articles.all() for b in a.bylines.all()}
        for section in sections
    }
