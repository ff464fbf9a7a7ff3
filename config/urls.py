"""URLs: the admin, the internal API, and the operations endpoints."""

from django.contrib import admin
from django.urls import include, path

from config.api import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("internal/v1/", api.urls),
    path("", include("optimizer.operations.urls")),
]
