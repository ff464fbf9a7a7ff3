"""Class-based views, templates, tags, filters, exports and admin lists."""

# mypy: disable-error-code="union-attr"

from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Count
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client, RequestFactory

from tests.library import press_views
from tests.library.models import Reader
from tests.library.press import Article, Comment, Section
from tests.library.templatetags import press_tags
from tests.library.views import site
from tests.queries.case import (
    BATCH,
    GROUPED,
    Fix,
    annotated,
    fixes,
    get,
    join,
    narrowed,
    prefetch,
    read_whole,
)


def page(name, **context):
    return " ".join(render_to_string(f"library/press/{name}.html", context).split())


def chief():
    user = get_user_model().objects.create(username="editor", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    return client


def context_of_a_list_view():
    return get("/press/articles/")


@fixes(
    context_of_a_list_view,
    annotated("Count", "comments"),
    prefetch("comments"),
    here=press_views.ArticleList,
    queryset=press_views.ArticleList,
)
def context_of_a_list_view_fixed():
    return get("/press/articles-fixed/")


def detail_view_lists_relations():
    """The page of one article, with as many comments as there are readers."""
    article = Article.objects.earliest("pk")
    Comment.objects.update(article=article)
    return get(f"/press/articles/{article.pk}/")


@fixes(
    detail_view_lists_relations,
    prefetch("comments__reader"),
    join("reader"),
    here="library/press/article.html",
    queryset=press_views.ArticlePage,
)
def detail_view_lists_relations_fixed():
    article = Article.objects.earliest("pk")
    Comment.objects.update(article=article)
    return get(f"/press/articles-fixed/{article.pk}/")


def json_by_hand():
    return get("/press/feed/")


@fixes(json_by_hand, prefetch("see_also"), here=press_views.as_dict, queryset=press_views.feed)
def json_by_hand_fixed():
    return get("/press/feed-fixed/")


def streamed_export():
    response = press_views.export(RequestFactory().get("/"))
    return b"".join(response.streaming_content)  # type: ignore[arg-type]


@fixes(streamed_export, join("section"), here=press_views.Export.cell, queryset=press_views.export)
def streamed_export_fixed():
    response = press_views.export_fixed(RequestFactory().get("/"))
    return b"".join(response.streaming_content)  # type: ignore[arg-type]


def admin_counts():
    return get("/admin/library/section/", chief()).count("section")


@fixes(
    admin_counts,
    annotated("Count", "articles"),
    narrowed("articles"),
    here=press_views.SectionAdmin,
    queryset=press_views.SectionAdmin,
)
def admin_counts_fixed():
    def queryset(self, request):
        return Section.objects.annotate(n=Count("articles"))

    def size(self, section):
        return section.n

    kind = press_views.SectionAdmin
    with patch.object(kind, "get_queryset", queryset), patch.object(kind, "size", size):
        return admin_counts()


def admin_shows_its_text():
    return get("/admin/library/article/", chief()).count("section")


@fixes(
    admin_shows_its_text,
    join("section"),
    here=Article.__str__,
    queryset=press_views.ArticleAdmin,
)
def admin_shows_its_text_fixed():
    with patch.object(site.get_model_admin(Article), "list_select_related", ("section",)):
        return admin_shows_its_text()


def filter_of_a_template():
    return page("filtered", articles=Article.objects.order_by("number"))  # <- queryset


@fixes(filter_of_a_template, prefetch("writers"), here=press_tags.written_by)
def filter_of_a_template_fixed():
    articles = Article.objects.order_by("number").prefetch_related("writers")
    return page("filtered", articles=articles)


def tag_of_a_template():
    return page("last_words", articles=Article.objects.published().newest())  # <- queryset


@fixes(
    tag_of_a_template,
    BATCH,
    GROUPED,
    prefetch("comments"),
    annotated("Subquery|Max"),
    here=press_tags.last_word,
)
def tag_of_a_template_fixed():
    articles = list(Article.objects.published().newest().prefetch_related("comments"))
    said = [max(article.comments.all(), key=lambda c: c.pk).text for article in articles]
    return " ".join(f"<q>{text}</q>" for text in said)


def inclusion_tag():
    readers = Reader.objects.select_related("subscription").order_by("pk")  # <- queryset
    return page("badges", readers=readers)


@fixes(inclusion_tag, join("subscription__plan"), here="library/press/badge.html")
def inclusion_tag_fixed():
    readers = Reader.objects.select_related("subscription__plan").order_by("pk")
    return page("badges", readers=readers)


def inherited_block():
    return page("with", articles=Article.objects.order_by("number"))  # <- queryset


@fixes(inherited_block, join("section"), here="library/press/with.html")
def inherited_block_fixed():
    return page("with", articles=Article.objects.select_related("section").order_by("number"))


def regrouped():
    return page("regrouped", articles=Article.objects.order_by("section", "pk"))  # <- queryset


@fixes(regrouped, join("section"), here="library/press/regrouped.html")
def regrouped_fixed():
    articles = Article.objects.select_related("section").order_by("section", "pk")
    return page("regrouped", articles=articles)


def condition_of_a_template():
    articles = Article.objects.defer("body").order_by("number")  # <- queryset
    return page("conditions", articles=articles)


@fixes(condition_of_a_template, join("photographer"), here="library/press/conditions.html")
def condition_of_a_template_fixed():
    articles = Article.objects.defer("body").select_related("photographer").order_by("number")
    return page("conditions", articles=articles)


def included_with_only():
    return page("includes", articles=list(Article.objects.order_by("number")))  # <- queryset


@fixes(
    included_with_only,
    annotated("Count", "comments"),
    prefetch("comments"),
    here="library/press/item.html",
)
def included_with_only_fixed():
    articles = Article.objects.prefetch_related("comments").order_by("number")
    return page("includes", articles=articles)


def page_of_a_paginator():
    paginator = Paginator(Article.objects.order_by("number"), 50)  # <- queryset
    return [a.section.title for a in paginator.page(1)], paginator.count  # <- here


@fixes(page_of_a_paginator, join("section"))
def page_of_a_paginator_fixed():
    paginator = Paginator(Article.objects.select_related("section").order_by("number"), 50)
    return [a.section.title for a in paginator.page(1)], paginator.count


MAIL = "{% for c in one.comments.all %}{{ c.text }} {% endfor %}"


def mail_to_each():
    """A template made from a string has no file: the caller's line is the place."""
    template = Template(MAIL)
    mails = []
    for article in Article.objects.order_by("number"):  # <- queryset
        mails.append(template.render(Context({"one": article})))  # <- here
    return mails


@fixes(mail_to_each, prefetch("comments"))
def mail_to_each_fixed():
    articles = Article.objects.order_by("number").prefetch_related("comments")
    return [Template(MAIL).render(Context({"one": article})) for article in articles]


def form_choices():
    from django import forms

    class Move(forms.Form):
        section = forms.ChoiceField()

        def __init__(self, *args, article, **kwargs):
            super().__init__(*args, **kwargs)
            others = article.section.allies.all()  # <- here
            found = [(one.slug, one.title) for one in others]  # <- here
            self.fields["section"].widget.choices = found

    articles = Article.objects.order_by("number")  # <- queryset
    return [Move(article=article).as_p().count("<option") for article in articles]


@fixes(
    form_choices,
    join("section"),
    prefetch("section__allies"),
    read_whole("section__allies"),
    Fix(r"prefetch_related\([\"']allies"),
)
def form_choices_fixed():
    articles = Article.objects.prefetch_related("section__allies").order_by("number")
    return [len(article.section.allies.all()) for article in articles]
