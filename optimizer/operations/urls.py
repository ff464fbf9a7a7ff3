"""Public endpoints: /health, /ready, /metrics and /api/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
