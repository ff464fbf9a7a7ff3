"""URLs: the admin, the internal API, and the operations endpoints."""

from django.contrib import admin
from django.urls import include, path

from config.api import api

urlpatterns = [
    path("", include("optimizer.operations.urls")),  # before the admin's, which catches the rest
    path("admin/", admin.site.urls),
    path("internal/v1/", api.urls),
]
