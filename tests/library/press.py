"""A newspaper beside the library: text keys, managers with methods, rows linked to their kind."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import models

from tests.library.models import Author, Reader


class Plan(models.Model):
    code = models.CharField(primary_key=True, max_length=12)
    name = models.CharField(max_length=40)
    monthly_price = models.IntegerField(default=5)

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    reader = models.OneToOneField(
        Reader, on_delete=models.CASCADE, primary_key=True, related_name="subscription"
    )
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, related_name="holders", related_query_name="holder"
    )
    months = models.IntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.reader.name} on {self.plan.name}"  # <- here

    @property
    def cost(self) -> int:
        return self.months * self.price()

    def price(self) -> int:
        plan = self.plan  # <- here
        return plan.monthly_price


class Section(models.Model):
    slug = models.SlugField(primary_key=True)
    title = models.CharField(max_length=40)
    head = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="sections_led")
    allies = models.ManyToManyField("self", blank=True)

    def __str__(self) -> str:
        return self.title


class ArticleQuerySet(models.QuerySet["Article"]):
    def published(self) -> "ArticleQuerySet":
        return self.filter(status="published")

    def newest(self) -> "ArticleQuerySet":
        return self.order_by("-number")

    def in_section(self, section: Section) -> "ArticleQuerySet":
        return self.filter(section=section)

    def for_listing(self) -> "ArticleQuerySet":
        return self.published().select_related("section").order_by("number")  # <- queryset

    def longest_of(self, section: Section) -> "Article | None":
        return self.in_section(section).order_by("-words", "pk").first()  # <- here


class Article(models.Model):
    headline = models.CharField(max_length=80)
    number = models.IntegerField(default=0)
    status = models.CharField(max_length=12, default="published")
    words = models.IntegerField(default=300)
    body = models.TextField(blank=True)
    section = models.ForeignKey(Section, on_delete=models.CASCADE, related_name="articles")
    photographer = models.ForeignKey(Author, on_delete=models.SET_NULL, null=True, related_name="+")
    writers = models.ManyToManyField(Author, through="Byline", related_name="articles")
    see_also = models.ManyToManyField("self", symmetrical=False, related_name="seen_from")

    objects = ArticleQuerySet.as_manager()

    def __str__(self) -> str:
        return f"[{self.section.title}] {self.headline}"  # <- here

    @cached_property
    def lead(self) -> "Byline | None":
        return self.bylines.order_by("position").first()  # <- here

    def credits(self) -> str:
        return ", ".join(byline.author.name for byline in self.bylines.all())  # <- here

    def publish(self) -> None:
        self.status = "printed"
        self.save(update_fields=["status"])  # <- here


class Byline(models.Model):
    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="bylines")
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="bylines")
    role = models.CharField(max_length=20, default="text")
    position = models.IntegerField(default=0)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.role


class Comment(models.Model):
    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="comments")
    reader = models.ForeignKey(Reader, on_delete=models.CASCADE, related_name="comments")
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="replies"
    )
    text = models.CharField(max_length=200)
    likes = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Teaser:
    """What a page shows of an article."""

    headline: str
    section: str

    @classmethod
    def of(cls, article: Any) -> "Teaser":
        return cls(
            headline=article.headline,
            section=article.section.title,  # <- here
        )


def fill_press(n: int) -> None:
    """Make n plans and sections, and in proportion what hangs on them."""
    authors = list(Author.objects.order_by("pk"))
    readers = list(Reader.objects.order_by("pk"))
    plans = Plan.objects.bulk_create(
        Plan(code=f"p{i}", name=f"plan {i}", monthly_price=3 + i) for i in range(n)
    )
    Subscription.objects.bulk_create(
        Subscription(reader=readers[i], plan=plans[i], months=1 + i) for i in range(n)
    )
    sections = Section.objects.bulk_create(
        Section(slug=f"s{i}", title=f"section {i}", head=authors[i]) for i in range(n)
    )
    allies = Section.allies.through
    pairs = [(i, (i + 1) % n) for i in range(n)]
    allies.objects.bulk_create(
        allies(from_section=sections[a], to_section=sections[b])
        for one, other in pairs
        for a, b in ((one, other), (other, one))
    )
    articles = Article.objects.bulk_create(
        Article(
            headline=f"article {i}",
            number=i,
            words=100 + 10 * i,
            body=f"Today, {i} of them came. " * 3,
            section=sections[i % n],
            photographer=authors[(i + 1) % n],
        )
        for i in range(2 * n)
    )
    Byline.objects.bulk_create(
        Byline(article=article, author=authors[(i + step) % n], position=step)
        for i, article in enumerate(articles)
        for step in (0, 1)
    )
    link = Article.see_also.through
    link.objects.bulk_create(
        link(from_article=article, to_article=articles[i - 1]) for i, article in enumerate(articles)
    )
    comments = Comment.objects.bulk_create(
        Comment(article=article, reader=readers[i % n], text=f"comment {i}", likes=i)
        for i, article in enumerate(articles)
    )
    Comment.objects.bulk_create(
        Comment(article=one.article, reader=readers[(i + 1) % n], parent=one, text=f"reply {i}")
        for i, one in enumerate(comments)
    )
