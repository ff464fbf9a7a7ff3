"""The Django project: settings, URLs, the API's assembly, Celery and WSGI entries."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
