"""Services, managers and querysets with methods of their own: who asks is far from who loads."""

# mypy: disable-error-code="union-attr"

from dataclasses import dataclass, field

from django.db.models import Count, F, Prefetch, QuerySet

from tests.library.models import Author
from tests.library.press import Article, ArticleQuerySet, Section, Subscription
from tests.queries.case import (
    BATCH,
    EXISTS,
    GROUPED,
    annotated,
    fixes,
    join,
    narrowed,
    prefetch,
    read_whole,
)


def chain_of_methods():
    lines = []
    for article in Article.objects.published().newest():  # <- queryset
        lines.append(f"{article.headline} ({article.section.title})")  # <- here
    return lines


@fixes(chain_of_methods, join("section"))
def chain_of_methods_fixed():
    articles = Article.objects.published().newest().select_related("section")
    return [f"{article.headline} ({article.section.title})" for article in articles]


def listing_joins_too_little():
    rows = {}
    for article in Article.objects.for_listing():
        rows[article.headline] = (article.section.title, article.section.head.name)  # <- here
    return rows


@fixes(listing_joins_too_little, join("section__head"), queryset=ArticleQuerySet)
def listing_joins_too_little_fixed():
    articles = Article.objects.for_listing().select_related("section__head")
    return {a.headline: (a.section.title, a.section.head.name) for a in articles}


def method_counts_for_each():
    sizes = []
    for section in Section.objects.order_by("slug"):  # <- queryset
        sizes.append(Article.objects.in_section(section).published().count())  # <- here
    return sizes


@fixes(method_counts_for_each, annotated("Count", "articles"), annotated("Count"), GROUPED)
def method_counts_for_each_fixed():
    rows = Article.objects.published().values("section").annotate(n=Count("pk"))
    return list(rows.order_by("section").values_list("n", flat=True))


def method_asks_itself():
    found = {}
    for section in Section.objects.order_by("slug"):  # <- queryset
        longest = Article.objects.longest_of(section)
        found[section.title] = longest and longest.headline
    return found


@fixes(
    method_asks_itself,
    BATCH,
    GROUPED,
    annotated("Subquery|Max"),
    narrowed("articles"),
    here=ArticleQuerySet,
)
def method_asks_itself_fixed():
    ordered = Article.objects.order_by("-words", "pk")
    sections = Section.objects.prefetch_related(Prefetch("articles", ordered, to_attr="ranked"))
    return {
        section.title: section.ranked[0].headline if section.ranked else None
        for section in sections.order_by("slug")
    }


def related_manager_has_them_too():
    out = []
    for section in Section.objects.all():  # <- queryset
        for article in section.articles.published().newest():  # <- here
            out.append((section.slug, article.number))
    return sorted(out)


@fixes(related_manager_has_them_too, narrowed("articles"))
def related_manager_has_them_too_fixed():
    articles = Prefetch("articles", Article.objects.published().newest(), to_attr="out")
    sections = Section.objects.prefetch_related(articles)
    return sorted((section.slug, a.number) for section in sections for a in section.out)


def newest_of_each():
    return {
        section.slug: section.articles.newest().first().headline  # <- here
        for section in Section.objects.order_by("pk")  # <- queryset
    }


@fixes(newest_of_each, narrowed("articles"), annotated("Subquery"))
def newest_of_each_fixed():
    newest = Prefetch("articles", Article.objects.newest(), to_attr="by_age")
    sections = Section.objects.prefetch_related(newest).order_by("pk")
    return {section.slug: section.by_age[0].headline for section in sections}


@dataclass
class Ledger:
    """A service that is given a queryset and asks a policy for each row."""

    subscriptions: QuerySet[Subscription]
    discount: int = 1
    lines: list[str] = field(default_factory=list)

    def post(self):
        for subscription in self.subscriptions:
            self._line(subscription)
        return self.lines

    def _line(self, subscription):
        total = subscription.cost - self.discount
        self.lines.append(f"{subscription.pk is None}: {total}")


def service_and_property():
    return Ledger(
        Subscription.objects.filter(months__gte=1).order_by("months")
    ).post()  # <- queryset


@fixes(service_and_property, join("plan"), here=Subscription.price)
def service_and_property_fixed():
    return Ledger(Subscription.objects.select_related("plan").order_by("months")).post()


class Repository:
    """Hides the ORM behind methods with names of the trade."""

    def __init__(self, model):
        self.model = model

    def every(self, **where):
        return self.model.objects.filter(**where).order_by("pk")  # <- queryset

    def one(self, **where):
        return self.model.objects.get(**where)  # <- here


class RepositoryFixed(Repository):
    def many(self, keys):
        return self.model.objects.in_bulk(keys)


def repository():
    articles, sections = Repository(Article), Repository(Section)
    return [sections.one(slug=a.section_id).title for a in articles.every(status="published")]


@fixes(repository, BATCH, join("section"), here=Repository)
def repository_fixed():
    articles = list(RepositoryFixed(Article).every(status="published"))
    sections = RepositoryFixed(Section).many({a.section_id for a in articles})
    return [sections[a.section_id].title for a in articles]


def names_over_a_through_table():
    credits = []
    for article in Article.objects.published().order_by("number"):  # <- queryset
        names = article.writers.order_by("name").values_list("name", flat=True)
        credits.append(" & ".join(names))  # <- here
    return credits


@fixes(names_over_a_through_table, narrowed("writers"), read_whole("writers"), GROUPED)
def names_over_a_through_table_fixed():
    articles = Article.objects.published().order_by("number").prefetch_related("writers")
    return [" & ".join(sorted(w.name for w in article.writers.all())) for article in articles]


def passed_on_and_sliced():
    def top(queryset, size):
        return [(row.headline, row.photographer.name) for row in queryset[:size]]  # <- here

    def longest(status):
        return Article.objects.filter(status=status).order_by("-words")  # <- queryset

    return top(longest("published"), 50)


@fixes(passed_on_and_sliced, join("photographer"))
def passed_on_and_sliced_fixed():
    articles = Article.objects.published().order_by("-words").select_related("photographer")
    return [(row.headline, row.photographer.name) for row in articles[:50]]


def filtered_by_lambda():
    led = filter(
        lambda author: author.sections_led.filter(title__startswith="sec").exists(),  # <- here
        Author.objects.order_by("pk"),  # <- queryset
    )
    return [author.name for author in led]


@fixes(filtered_by_lambda, EXISTS, narrowed("sections_led"))
def filtered_by_lambda_fixed():
    leads = Count("sections_led")
    return [a.name for a in Author.objects.annotate(n=leads).filter(n__gt=0).order_by("pk")]


def total_of_each():
    totals = []
    for section in Section.objects.annotate(led_by=F("head__name")).order_by("pk"):  # <- queryset
        words = sum(article.words for article in section.articles.all())  # <- here
        totals.append((section.led_by, words))
    return totals


@fixes(total_of_each, prefetch("articles"), annotated("Sum", "articles"))
def total_of_each_fixed():
    sections = Section.objects.annotate(led_by=F("head__name")).prefetch_related("articles")
    return [(s.led_by, sum(a.words for a in s.articles.all())) for s in sections.order_by("pk")]
