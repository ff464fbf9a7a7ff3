"""Tags and a filter that ask for what the template did not give them."""

from typing import Any

from django import template

from tests.library.press import Article, Comment

register = template.Library()


@register.filter
def written_by(article: Article) -> str:
    names = [author.name for author in article.writers.all()]  # <- here
    return " and ".join(sorted(names))


@register.simple_tag
def last_word(article: Article) -> str:
    comment = Comment.objects.filter(article=article).order_by("pk").last()  # <- here
    return comment.text if comment else ""


@register.inclusion_tag("library/press/badge.html")
def badge(reader: Any) -> dict[str, Any]:
    return {"reader": reader}
