"""Somebody else's Django project, which has the optimizer on its path and not among its apps."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

FILES = {
    "settings.py": """
        SECRET_KEY = "only for tests"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        INSTALLED_APPS = ["django.contrib.contenttypes", "shop"]
        ROOT_URLCONF = "shop.urls"
        ALLOWED_HOSTS = ["*"]
        USE_TZ = True
    """,
    "pytest.ini": """
        [pytest]
        DJANGO_SETTINGS_MODULE = settings
        pythonpath = .
        n_plus_one_ignore = shop/meant.py
        addopts =
            --strict-markers -p no:cacheprovider
            -p pytest_django.plugin -p xdist.plugin -p anyio.pytest_plugin
    """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models

        class Author(models.Model):
            name = models.CharField(max_length=20)

        class Book(models.Model):
            author = models.ForeignKey(Author, on_delete=models.CASCADE)
    """,
    "shop/queries.py": """
        from shop.models import Author, Book

        def names():
            return [book.author.name for book in Book.objects.all()]

        async def names_async():
            return [(await Author.objects.aget(pk=book.author_id)).name
                    async for book in Book.objects.all()]

        def joined():
            return [book.author.name for book in Book.objects.select_related("author")]

        def same():
            return [Author.objects.filter(name="author 0").count() for _ in range(3)]
    """,
    "shop/meant.py": """
        from shop.models import Book

        def names():
            return [book.author.name for book in Book.objects.all()]
    """,
    "shop/urls.py": """
        from django.http import HttpResponse
        from django.urls import path

        from shop import queries

        urlpatterns = [path("names", lambda request: HttpResponse(str(queries.names())))]
    """,
    "conftest.py": """
        import pytest

        from shop.models import Author, Book

        @pytest.fixture
        def books(db):
            authors = [Author.objects.create(name=f"author {at}") for at in range(3)]
            for author in authors:
                Book.objects.create(author=author)
    """,
}


def write(folder: Path, **tests: str) -> Path:
    """Write the project with some test modules, by their names; return its folder."""
    for name, text in {**FILES, **{f"{one}.py": text for one, text in tests.items()}}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
        path.write_text("\n".join(line[indent:] for line in lines) + "\n")
    return folder


def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in the project with the plugin; return its code and what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(settings.BASE_DIR),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # some take seconds to load
    }
    for name in ("DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "optimizer.queries.pytest_plugin", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout
