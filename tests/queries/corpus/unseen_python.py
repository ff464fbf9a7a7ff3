"""The language's own ways to go through rows: closures, keys, pipes, stacks, recursion."""

# mypy: disable-error-code="union-attr"

from collections import defaultdict
from contextlib import suppress
from functools import partial
from itertools import chain, islice

from django.db.models import Count

from tests.library.models import Book
from tests.library.press import Article, Comment, Section, Subscription
from tests.queries.case import BATCH, Fix, annotated, fixes, join, prefetch


def sum_of_a_generator():
    comments = Comment.objects.filter(likes__gte=0)  # <- queryset
    return sum(comment.article.words for comment in comments)  # <- here


@fixes(sum_of_a_generator, join("article"))
def sum_of_a_generator_fixed():
    comments = Comment.objects.filter(likes__gte=0).select_related("article")
    return sum(comment.article.words for comment in comments)


def largest():
    sections = list(Section.objects.order_by("-slug"))  # <- queryset
    return max(sections, key=lambda s: (s.articles.count(), s.slug)).slug  # <- here


@fixes(largest, annotated("Count", "articles"), prefetch("articles"))
def largest_fixed():
    return Section.objects.annotate(n=Count("articles")).order_by("-n", "-slug")[0].slug


def all_of_them():
    articles = Article.objects.order_by("-number")  # <- queryset
    return len(articles), all(a.section.head.active for a in articles)  # <- here


@fixes(all_of_them, join("section__head"), join("section"))
def all_of_them_fixed():
    articles = Article.objects.select_related("section__head").order_by("-number")
    return len(articles), all(a.section.head.active for a in articles)


def grouping_in_a_dict():
    by_head: dict[int, list[str]] = defaultdict(list)
    for article in Article.objects.order_by("number"):  # <- queryset
        by_head[article.section.head_id].append(article.headline)  # <- here
    return list(by_head.values())


@fixes(grouping_in_a_dict, join("section"))
def grouping_in_a_dict_fixed():
    by_head: dict[int, list[str]] = defaultdict(list)
    for article in Article.objects.select_related("section").order_by("number"):
        by_head[article.section.head_id].append(article.headline)
    return list(by_head.values())


def side_by_side():
    articles = Article.objects.order_by("number")  # <- queryset
    books = Book.objects.filter(audiobook=None).order_by("pk")
    pairs = zip(articles, books, strict=True)
    return [
        (book.title, article.section.title)  # <- here
        for article, book in pairs
    ]


@fixes(side_by_side, join("section"))
def side_by_side_fixed():
    articles = Article.objects.select_related("section").order_by("number")
    books = Book.objects.filter(audiobook=None).order_by("pk")
    return [(book.title, a.section.title) for a, book in zip(articles, books, strict=True)]


def chained():
    short = Article.objects.filter(words__lt=120).order_by("pk")  # <- queryset
    long = Article.objects.filter(words__gte=120).order_by("-pk")  # <- queryset
    return [article.section.title for article in chain(short, long)]  # <- here


@fixes(chained, join("section"))
def chained_fixed():
    articles = Article.objects.select_related("section")
    short = articles.filter(words__lt=120).order_by("pk")
    return [a.section.title for a in chain(short, articles.filter(words__gte=120).order_by("-pk"))]


def stack_of_work():
    todo = list(Article.objects.order_by("number"))  # <- queryset
    done = []
    while todo:
        article = todo.pop()
        done.append(article.section.title)  # <- here
    return done


@fixes(stack_of_work, join("section"))
def stack_of_work_fixed():
    articles = Article.objects.select_related("section").order_by("-number")
    return [article.section.title for article in articles]


def looked_up_by_text():
    headlines = [f"article {i}" for i in range(Article.objects.count())]
    return {one: Article.objects.get(headline=one).words for one in headlines}  # <- here


@fixes(looked_up_by_text, BATCH)
def looked_up_by_text_fixed():
    headlines = [f"article {i}" for i in range(Article.objects.count())]
    found = Article.objects.in_bulk(
        list(Article.objects.filter(headline__in=headlines).values_list("pk", flat=True))
    )
    words = {article.headline: article.words for article in found.values()}
    return {one: words[one] for one in headlines}


def suppressed():
    keys = [comment.reader_id for comment in Comment.objects.order_by("pk")]
    months = []
    for key in dict.fromkeys(keys):
        with suppress(Subscription.DoesNotExist):
            months.append(Subscription.objects.get(reader_id=key, months__gt=1).months)  # <- here
    return months


@fixes(suppressed, BATCH)
def suppressed_fixed():
    keys = {comment.reader_id for comment in Comment.objects.order_by("pk")}
    found = Subscription.objects.filter(reader__in=keys, months__gt=1)
    return sorted(found.values_list("months", flat=True))


def partially_applied():
    def line(separator, article):
        return separator.join([article.photographer.name, article.headline])  # <- here

    return list(map(partial(line, ": "), Article.objects.order_by("pk")))  # <- queryset


@fixes(partially_applied, join("photographer"))
def partially_applied_fixed():
    articles = Article.objects.select_related("photographer").order_by("pk")
    return [f"{article.photographer.name}: {article.headline}" for article in articles]


def dotted_names():
    def resolve(row, path):
        for name in path.split("."):
            row = getattr(row, name)  # <- here
        return row

    columns = ("headline", "section.head.name")
    articles = Article.objects.select_related("section").order_by("number")  # <- queryset
    return [tuple(resolve(article, column) for column in columns) for article in articles]


@fixes(dotted_names, join("section__head"))
def dotted_names_fixed():
    articles = Article.objects.select_related("section__head").order_by("number")
    return [(article.headline, article.section.head.name) for article in articles]


def pipeline():
    def rows():
        yield from Article.objects.order_by("number")  # <- queryset

    def long_ones(articles):
        return (article for article in articles if article.words >= 110)

    def titled(articles):
        for article in articles:
            yield f"{article.section.title}/{article.number}"  # <- here

    return list(islice(titled(long_ones(rows())), 100))


@fixes(pipeline, join("section"))
def pipeline_fixed():
    articles = Article.objects.filter(words__gte=110).select_related("section")
    return [f"{a.section.title}/{a.number}" for a in articles.order_by("number")]


ALL_AT_ONCE = Fix(r"Comment\.objects\.(all\(\)|order_by|values|filter\((?!parent=None))|RECURSIVE")


def threads_of_comments():
    def thread(comment):
        replies = [thread(reply) for reply in comment.replies.all()]  # <- here
        return [comment.text, *replies]

    tops = Comment.objects.filter(parent=None).order_by("pk")  # <- queryset
    return [thread(top) for top in tops]


@fixes(threads_of_comments, prefetch("replies__replies"), prefetch("replies"), BATCH, ALL_AT_ONCE)
def threads_of_comments_fixed():
    children: dict[int | None, list[Comment]] = defaultdict(list)
    for comment in Comment.objects.order_by("pk"):
        children[comment.parent_id].append(comment)

    def thread(comment):
        return [comment.text, *(thread(reply) for reply in children[comment.pk])]

    return [thread(top) for top in children[None]]


class Visitor:
    """Calls a method for each kind of node, and is itself called."""

    def __init__(self):
        self.seen: list[str] = []

    def __call__(self, node):
        getattr(self, f"visit_{type(node).__name__.lower()}")(node)

    def visit_article(self, article):
        self.seen.append(article.headline)
        for comment in article.comments.all():  # <- queryset
            self(comment)

    def visit_comment(self, comment):
        reader = comment.reader  # <- here
        self.seen.append(f"{reader.name}: {comment.text}")


def visited():
    visitor = Visitor()
    for article in Article.objects.prefetch_related("comments").order_by("pk"):  # <- queryset
        visitor(article)
    return sorted(visitor.seen)


@fixes(visited, prefetch("comments__reader"), here=Visitor)
def visited_fixed():
    visitor = Visitor()
    for article in Article.objects.prefetch_related("comments__reader").order_by("pk"):
        visitor(article)
    return sorted(visitor.seen)


def in_reverse():
    numbered = enumerate(reversed(Article.objects.order_by("number")), start=1)  # <- queryset
    return [f"{i}. {article.photographer.imprint}" for i, article in numbered]  # <- here


@fixes(in_reverse, join("photographer"), join("photographer__publisher"))
def in_reverse_fixed():
    articles = Article.objects.select_related("photographer__publisher").order_by("-number")
    return [f"{i}. {a.photographer.imprint}" for i, a in enumerate(articles, start=1)]
