"""What a bulk write refuses before it sends anything, and in which words."""

import pytest

from optimizer.batches.services.bulk import (
    bulk_delete,
    bulk_insert,
    bulk_update,
    bulk_upsert,
    missing_references,
)
from tests.batches.bulk_case import members
from tests.library.measures import Gauge, Member, Seat
from tests.library.models import AudioBook, Author, Named

KEY = ["chat", "user"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"chat": 1, "user": 1}, {"chat": 1}], "row 1 lacks user: .* here chat, user"),
        ([{"chat": 1, "user": 1}, {"chat": 1, "user": 1, "nick": "a"}], "row 1 has nick"),
        ([{"chat": 1, "user": 1}, {"chat": 1, "nick": 1}], "row 1 lacks user and has nick"),
        ([{"chat": 1, "user": 1}, (1, 1)], "row 1 is of tuple: give only mappings"),
        ([{"chat": 1, "user": 1}, Member(chat=1)], "row 1 is of Member: give only mappings"),
        ([Member(chat=1), Gauge()], "row 1 is of Gauge: give only instances of Member"),
        (["ab"], "row 0 is of str"),
    ],
)
def test_rows_of_another_kind(rows, words):
    with pytest.raises(ValueError, match=words):
        bulk_upsert(Member, rows, KEY)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"nope": 1}, "no such field 'nope'; allowed are .*chat, created"),
        ({"doubled": 1}, "no column that can be written 'doubled'"),
        ({"chat_id": 1}, "no such field 'chat_id'"),
        ({"id": 1, "pk": 1}, "give Member.id twice"),
    ],
)
def test_fields_of_the_rows(more, words):
    for write in (bulk_upsert, bulk_update, bulk_delete):
        with pytest.raises(ValueError, match=words):
            write(Member, members(1, **more), KEY)


@pytest.mark.parametrize(
    ("unique_fields", "words"),
    [
        ([], "name the fields that find a row"),
        (["chat"], r"no unique constraint of Member is on \(chat\); allowed are \(chat, topic\), "),
        (["user", "topic"], r"is on \(user, topic\)"),  # that one has a condition
        (["nick", "chat", "user"], r"is on \(nick, chat, user\)"),
        (["number"], "the rows do not give 'number'; they give chat, user"),
        (["nope"], "unique_fields: Member has no such field 'nope'"),
        ("chat", "not one text"),
    ],
)
def test_keys(unique_fields, words):
    with pytest.raises(ValueError, match=words):
        bulk_upsert(Member, members(1, topic=1), unique_fields)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"update_fields": ["points"]}, "update_fields: the rows do not give 'points'"),
        ({"update_fields": ["user"]}, "update_fields: 'user' finds the row"),
        ({"update_fields": ["nope"]}, "update_fields: Member has no such field"),
        ({"sequence_field": "version"}, "sequence_field: the rows do not give 'version'"),
        ({"sequence_field": "chat"}, "sequence_field: 'chat' is one of unique_fields"),
        ({"chunk_size": 0}, "chunk_size: give 1 or more"),
        ({"way": "nope"}, "way: 'nope' is not possible here; allowed are"),
    ],
)
def test_other_arguments(more, words):
    for write in (bulk_upsert, bulk_update):
        with pytest.raises(ValueError, match=words):
            write(Member, members(1), KEY, **more)


def test_an_update_without_anything_to_update():
    with pytest.raises(ValueError, match="nothing to update"):
        bulk_update(Member, [{"chat": 1, "user": 1}], KEY)
    with pytest.raises(ValueError, match="nothing to update"):
        bulk_update(Member, members(1), KEY, [])


@pytest.mark.parametrize("rows", [[], [{"title": "x"}]])
def test_models_of_several_tables_or_none(rows):
    with pytest.raises(ValueError, match="AudioBook keeps a part of its rows in the table of Book"):
        bulk_insert(AudioBook, rows)
    with pytest.raises(ValueError, match="Named is abstract"):
        bulk_insert(Named, rows)
    with pytest.raises(ValueError, match="AudioBook keeps"):
        missing_references(AudioBook, rows)


def test_a_foreign_key_given_twice():
    with pytest.raises(ValueError, match="give Author.mentor twice"):
        bulk_insert(Author, [{"mentor": 1, "mentor_id": 1}])
    with pytest.raises(ValueError, match="no column that can be written 'pk'"):
        bulk_insert(Seat, [{"pk": (1, 2)}])
