"""Public endpoints: /health, /ready, /metrics and /api/."""

from django.urls import path
from django.views.generic import RedirectView

from optimizer.operations import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("health", views.alive, name="health"),
    path("ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="metrics"),
    path("api/", views.api_root, name="api-root"),
]
