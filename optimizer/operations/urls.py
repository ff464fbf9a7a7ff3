"""Public endpoints: /health, /ready, /metrics, /api/ and /api/overview."""

from django.urls import path
from django.views.generic import RedirectView

from optimizer.operations import dashboard, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/dashboard/", dashboard.fragment, name="dashboard"),
    path("health", views.alive, name="health"),
    path("ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="metrics"),
    path("api/overview", views.overview, name="overview"),
    path("api/", views.api_root, name="api-root"),
]
