"""Views through the test client."""

from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.test import Client

from tests.library import views
from tests.library.models import Review
from tests.queries.case import BATCH, fixes, get, join, prefetch


def function_view():
    return get("/publishers.json")


@fixes(
    function_view,
    prefetch("authors"),
    here=views.publishers_as_json,
    queryset=views.publishers_as_json,
)
def function_view_fixed():
    return get("/publishers-fixed.json")


def generic_list():
    return get("/reviews/")


@fixes(generic_list, join("reviewer"), here="library/review_list.html", queryset=views.ReviewList)
def generic_list_fixed():
    return get("/reviews-fixed/")


def included_template():
    return get("/cards/")


@fixes(included_template, join("profile"), here="library/card.html", queryset=views.AuthorCards)
def included_template_fixed():
    return get("/cards-fixed/")


def methods_of_a_class():
    return get("/orders/")


@fixes(methods_of_a_class, join("buyer"), here=views.OrderReport, queryset=views.OrderReport)
def methods_of_a_class_fixed():
    return get("/orders-fixed/")


def _chief():
    user = get_user_model().objects.create(username="chief", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    return client


def admin_column():
    page = get("/admin/library/review/", _chief())
    return page.count("author")


@fixes(admin_column, join("book__author"), here=views.ReviewAdmin, queryset=views.ReviewAdmin)
def admin_column_fixed():
    """Let the class say it."""
    model_admin = views.site.get_model_admin(Review)
    with patch.object(model_admin, "list_select_related", ("book__author",)):
        return admin_column()


def asynchronous_view():
    return get("/cities/")


@fixes(
    asynchronous_view,
    BATCH,
    join("publisher"),
    here=views.async_cities,
    queryset=views.async_cities,
)
def asynchronous_view_fixed():
    return get("/cities-fixed/")
