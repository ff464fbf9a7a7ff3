"""MONGODB_URI adds a second database: here a real wire server."""

import pytest
from django.conf import settings
from django.db import router

from config.routers import MongoAppsRouter
from ratelimit.models import Tier
from tests.children import Child

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]


def said_by(code: str, uri: str) -> list[str]:
    child = Child(code, MONGODB_URI=uri)
    try:
        assert child.process.wait(60) == 0
        assert child.process.stdout is not None
        return child.process.stdout.read().split("\n")[:-1]
    finally:
        child.close()


WRITE_AND_READ = """
from django.db import connections
documents = connections["mongo"].database["documents"]
documents.delete_many({})
documents.insert_one({"_id": 1, "name": "bot"})
print(documents.find_one({"_id": 1})["name"])
options = connections["mongo"].database.client.options
print(options.pool_options.max_pool_size, options.server_selection_timeout)
"""

READY = """
from optimizer.operations import health
from optimizer.operations.models import OperationsSettings
OperationsSettings(check_timeout_seconds=30).save()  # a busy machine is not what is tested
status, results = health.readiness()
print(status)
print({one.name: one.error for one in results}.get("mongodb", "no such check"))
"""

MIGRATE = """
from django.core.management import call_command
from django.db import connections
call_command("migrate", database="mongo", verbosity=0)
print(sorted(connections["mongo"].database.list_collection_names()))
call_command("check", fail_level="WARNING")
"""


def test_documents_are_written_and_read_with_the_pool_that_is_set(mongo_url):
    assert said_by(WRITE_AND_READ, mongo_url) == ["bot", "20 0.8"]


@pytest.mark.usefixtures("redis")
def test_readiness_asks_mongodb_where_it_is_configured(mongo_url):
    assert said_by(READY, mongo_url) == ["degraded", ""]  # degraded by the missing worker


@pytest.mark.usefixtures("redis")
def test_mongodb_away_is_told_and_is_not_critical():
    status, error = said_by(READY, "mongodb://127.0.0.1:1/")
    assert status == "degraded"
    assert "Timeout" in error or "Error" in error or "no answer" in error


def test_no_sql_table_is_made_in_mongodb(mongo_url):
    collections = said_by(MIGRATE, mongo_url)[0]
    assert "ratelimit" not in collections
    assert "auth" not in collections


def test_apps_opt_in_and_everything_else_stays_on_sql(settings):
    settings.DATABASE_ROUTERS = ["config.routers.MongoAppsRouter"]
    assert router.db_for_read(Tier) == "default"
    assert not MongoAppsRouter().allow_migrate("mongo", "ratelimit")
    assert MongoAppsRouter().allow_migrate("default", "ratelimit")
    settings.MONGODB_APPS = ["ratelimit"]
    assert router.db_for_read(Tier) == router.db_for_write(Tier) == "mongo"
    assert MongoAppsRouter().allow_migrate("mongo", "ratelimit")
    assert not MongoAppsRouter().allow_migrate("default", "ratelimit")
    settings_row = Tier(name="a")
    assert MongoAppsRouter().allow_relation(settings_row, settings_row) is None


def test_without_a_uri_there_is_no_second_database():
    assert "mongo" not in settings.DATABASES
