"""The newspaper's pages: each view that asks for every row stands beside one that does not."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.generic import DetailView, ListView, TemplateView

from tests.library.press import Article, Plan, Section
from tests.library.views import site


class ArticleList(ListView):
    model = Article
    template_name = "library/press/article_list.html"
    ordering = "number"  # <- queryset

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = [
            (article, article.comments.count())  # <- here
            for article in context["article_list"]
        ]
        return context


class ArticleListFixed(ListView):
    queryset = Article.objects.annotate(comment_count=Count("comments")).order_by("number")
    template_name = "library/press/article_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return {**context, "rows": [(a, a.comment_count) for a in context["article_list"]]}


class ArticlePage(DetailView):
    model = Article  # <- queryset
    template_name = "library/press/article.html"


class ArticlePageFixed(ArticlePage):
    queryset = Article.objects.prefetch_related("comments__reader")


class FrontPage(TemplateView):
    """Gives its template what several querysets load as they should."""

    template_name = "library/press/sections.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sections = Section.objects.prefetch_related("articles__bylines__author").order_by("pk")
        return super().get_context_data(sections=sections, **kwargs)


def as_dict(article: Article) -> dict[str, Any]:
    return {
        "headline": article.headline,
        "links": [link.headline for link in article.see_also.all()],  # <- here
    }


def feed(request: HttpRequest) -> JsonResponse:
    articles = Article.objects.published().newest()  # <- queryset
    return JsonResponse({"items": [as_dict(article) for article in articles]})


def feed_fixed(request: HttpRequest) -> JsonResponse:
    articles = Article.objects.published().newest().prefetch_related("see_also")
    return JsonResponse({"items": [as_dict(article) for article in articles]})


class Export:
    """Write a table as CSV while it is being read; columns are dotted names."""

    columns = ("headline", "section.title", "words")

    def __init__(self, articles: QuerySet[Article]) -> None:
        self.articles = articles

    def lines(self) -> Iterator[str]:
        for article in self.articles:
            line = io.StringIO()
            csv.writer(line).writerow(self.cell(article, column) for column in self.columns)
            yield line.getvalue()

    def cell(self, row: Any, column: str) -> Any:
        for name in column.split("."):
            row = getattr(row, name)  # <- here
        return row


def export(request: HttpRequest) -> StreamingHttpResponse:
    articles = Article.objects.order_by("number")  # <- queryset
    return StreamingHttpResponse(Export(articles).lines(), content_type="text/csv")


def export_fixed(request: HttpRequest) -> StreamingHttpResponse:
    articles = Article.objects.select_related("section").order_by("number")
    return StreamingHttpResponse(Export(articles).lines(), content_type="text/csv")


def figures(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "published": Article.objects.published().count(),
            "drafts": Article.objects.filter(status="draft").count(),
            "short": Article.objects.filter(words__lt=110).count(),
            "long": Article.objects.filter(words__lt=1000).count(),
        }
    )


@admin.register(Section, site=site)
class SectionAdmin(admin.ModelAdmin):
    list_display = ("title", "size")  # <- queryset

    @admin.display(description="articles")
    def size(self, section: Section) -> int:
        return section.articles.filter(status="published").count()  # <- here


@admin.register(Article, site=site)
class ArticleAdmin(admin.ModelAdmin):
    """Shows each row by its `__str__`."""

    list_display = ("__str__", "words")  # <- queryset
    search_fields = ("headline",)


@admin.register(Plan, site=site)
class PlanAdmin(admin.ModelAdmin):
    list_display = ("code", "name", "monthly_price")
    list_filter = ("monthly_price",)


urlpatterns = [
    path("articles/", ArticleList.as_view()),
    path("articles-fixed/", ArticleListFixed.as_view()),
    path("articles/<int:pk>/", ArticlePage.as_view()),
    path("articles-fixed/<int:pk>/", ArticlePageFixed.as_view()),
    path("feed/", feed),
    path("feed-fixed/", feed_fixed),
    path("front/", FrontPage.as_view()),
    path("figures/", figures),
]
