"""What models do behind an attribute: text, properties, keys of other types, own kind."""

# mypy: disable-error-code="union-attr"

from dataclasses import asdict
from functools import cached_property, singledispatch, total_ordering

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Prefetch

from tests.library.models import Author, Reader
from tests.library.press import Article, Byline, Comment, Section, Subscription, Teaser
from tests.queries.case import annotated, fixes, join, narrowed, prefetch, read_whole


def text_of_each():
    return "\n".join(map(str, Article.objects.order_by("number")))  # <- queryset


@fixes(text_of_each, join("section"), here=Article.__str__)
def text_of_each_fixed():
    return "\n".join(map(str, Article.objects.select_related("section").order_by("number")))


def text_needs_two():
    return [f"{one}" for one in Subscription.objects.order_by("months")]  # <- queryset


@fixes(text_needs_two, join("reader"), join("plan"), here=Subscription.__str__)
def text_needs_two_fixed():
    subscriptions = Subscription.objects.select_related("reader", "plan").order_by("months")
    return [f"{one}" for one in subscriptions]


def cached_in_each():
    roles = []
    for article in Article.objects.order_by("pk"):  # <- queryset
        if article.lead and article.lead.position == 0:
            roles.append((article.number, article.lead.role))
    return roles


@fixes(
    cached_in_each,
    narrowed("bylines"),
    annotated("Subquery"),
    read_whole("bylines"),
    here=Article.lead.func,  # type: ignore[attr-defined]
)
def cached_in_each_fixed():
    articles = Article.objects.order_by("pk").prefetch_related("bylines")
    firsts = [(article.number, article.bylines.all()[0]) for article in articles]
    return [(number, byline.role) for number, byline in firsts if byline.position == 0]


def method_behind_a_prefetch():
    articles = Article.objects.prefetch_related("bylines").order_by("number")  # <- queryset
    return {article.number: article.credits() for article in articles}


@fixes(method_behind_a_prefetch, prefetch("bylines__author"), here=Article.credits)
def method_behind_a_prefetch_fixed():
    articles = Article.objects.prefetch_related("bylines__author").order_by("number")
    return {article.number: article.credits() for article in articles}


def method_with_two_levels():
    return [article.credits() for article in Article.objects.filter(words__gt=0)]  # <- queryset


@fixes(
    method_with_two_levels,
    prefetch("bylines__author"),
    prefetch("bylines"),
    here=Article.credits,
)
def method_with_two_levels_fixed():
    bylines = Prefetch("bylines", queryset=Byline.objects.select_related("author"))
    articles = Article.objects.filter(words__gt=0).prefetch_related(bylines)
    return [article.credits() for article in articles]


def behind_a_one_to_one():
    plans = []
    for reader in Reader.objects.select_related("subscription").order_by("pk"):  # <- queryset
        plans.append(f"{reader.name}: {reader.subscription.plan.name}")  # <- here
    return plans


@fixes(behind_a_one_to_one, join("subscription__plan"))
def behind_a_one_to_one_fixed():
    readers = Reader.objects.select_related("subscription__plan").order_by("pk")
    return [f"{reader.name}: {reader.subscription.plan.name}" for reader in readers]


def may_be_missing():
    Reader.objects.create(name="without a subscription")
    months = 0
    for reader in Reader.objects.order_by("-pk"):  # <- queryset
        try:
            months += reader.subscription.months  # <- here
        except ObjectDoesNotExist:
            months -= 1
    return months


@fixes(may_be_missing, join("subscription"))
def may_be_missing_fixed():
    Reader.objects.create(name="without a subscription")
    readers = Reader.objects.select_related("subscription")
    return sum(r.subscription.months if hasattr(r, "subscription") else -1 for r in readers)


def no_way_back():
    """The relation has no name from the other side."""
    shots = set()
    for article in Article.objects.exclude(photographer=None):  # <- queryset
        shots.add(article.photographer.name.upper())  # <- here
    return shots


@fixes(no_way_back, join("photographer"))
def no_way_back_fixed():
    articles = Article.objects.exclude(photographer=None).select_related("photographer")
    return {article.photographer.name.upper() for article in articles}


def key_of_another_column():
    articles = Article.objects.select_related("photographer").order_by("number")  # <- queryset
    return [a.photographer.language.name for a in articles]  # <- here


@fixes(key_of_another_column, join("photographer__language"))
def key_of_another_column_fixed():
    articles = Article.objects.select_related("photographer__language").order_by("number")
    return [a.photographer.language.name for a in articles]


def symmetrical():
    circle = {}
    for section in Section.objects.order_by("slug"):  # <- queryset
        circle[section.slug] = sorted(ally.title for ally in section.allies.all())  # <- here
    return circle


@fixes(symmetrical, prefetch("allies"))
def symmetrical_fixed():
    sections = Section.objects.prefetch_related("allies").order_by("slug")
    return {
        section.slug: sorted(ally.title for ally in section.allies.all()) for section in sections
    }


def from_its_other_end():
    arrows = []
    for article in Article.objects.order_by("number"):  # <- queryset
        arrows += [f"{link.number}>{article.number}" for link in article.seen_from.all()]  # <- here
    return sorted(arrows)


@fixes(from_its_other_end, prefetch("seen_from"))
def from_its_other_end_fixed():
    articles = Article.objects.prefetch_related("seen_from")
    return sorted(f"{link.number}>{a.number}" for a in articles for link in a.seen_from.all())


def to_its_parent():
    replies = Comment.objects.filter(parent__isnull=False).order_by("pk")  # <- queryset
    return [(reply.text, reply.parent.text) for reply in replies]  # <- here


@fixes(to_its_parent, join("parent"))
def to_its_parent_fixed():
    replies = Comment.objects.filter(parent__isnull=False).select_related("parent").order_by("pk")
    return [(reply.text, reply.parent.text) for reply in replies]


def transfer_object():
    return [asdict(Teaser.of(a)) for a in Article.objects.order_by("number")]  # <- queryset


@fixes(transfer_object, join("section"), here=Teaser.of)
def transfer_object_fixed():
    articles = Article.objects.order_by("number").select_related("section")
    return [asdict(Teaser.of(article)) for article in articles]


@total_ordering
class Ranked:
    """Sorts articles by who leads their section, then by length."""

    def __init__(self, article):
        self.article = article

    @property
    def key(self):
        return self.article.section.head.name, -self.article.words  # <- here

    def __eq__(self, other):
        return self.key == other.key

    def __hash__(self):
        return hash(self.article.pk)

    def __lt__(self, other):
        return self.key < other.key


def comparisons():
    ranked = [
        Ranked(article) for article in Article.objects.select_related("section")
    ]  # <- queryset
    return [one.article.headline for one in sorted(ranked)]


@fixes(comparisons, join("section__head"), here=Ranked)
def comparisons_fixed():
    articles = Article.objects.select_related("section__head")
    return [one.article.headline for one in sorted(map(Ranked, articles))]


class Issue:
    """Behaves as a list of pairs."""

    def __init__(self, articles):
        self.articles = articles

    def __len__(self):
        return len(self.articles)

    def __iter__(self):
        for article in self.articles:
            yield article.section.title, article.headline  # <- here

    @cached_property
    def contents(self):
        return dict(self)


def collection_class():
    issue = Issue(Article.objects.order_by("number").all())  # <- queryset
    return len(issue), issue.contents


@fixes(collection_class, join("section"), here=Issue)
def collection_class_fixed():
    issue = Issue(Article.objects.select_related("section").order_by("number"))
    return len(issue), issue.contents


@singledispatch
def shown(row):
    raise TypeError(row)


@shown.register
def _shown_author(row: Author):
    return f"{row.name}: {row.mentor}"  # <- here


@shown.register
def _shown_section(row: Section):
    return row.title


def dispatched_by_type():
    rows = [*Section.objects.order_by("pk"), *Author.objects.order_by("pk")]  # <- queryset
    return [shown(row) for row in rows]


@fixes(dispatched_by_type, join("mentor"), here=_shown_author)
def dispatched_by_type_fixed():
    authors = Author.objects.select_related("mentor").order_by("pk")
    return [shown(row) for row in [*Section.objects.order_by("pk"), *authors]]
