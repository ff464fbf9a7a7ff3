import io

import pytest
import yaml
from django.core.management import CommandError, call_command

from optimizer.control.documents import DocumentError, apply_document, export_document
from optimizer.control.models import Revision
from tests.sample.models import Book, SampleSettings, Shelf

pytestmark = pytest.mark.django_db


def refused(document):
    with pytest.raises(DocumentError) as caught:
        apply_document(document)
    assert not Revision.objects.exists()
    return caught.value.errors


def test_what_is_exported_can_be_imported_elsewhere():
    shelf = Shelf.objects.create(name="low", size=4)
    Book.objects.create(title="One", shelf=shelf)
    SampleSettings(workers=9).save()
    document = yaml.safe_load(yaml.safe_dump(export_document(["sample"])))
    assert document["sample"]["book"] == {"One": {"shelf": "low"}}
    shelf.delete()
    SampleSettings(workers=3).save()
    apply_document(document)
    assert Book.objects.get().shelf.name == "low"
    assert SampleSettings.load().workers == 9
    assert apply_document(document) == []


def test_a_partial_document_leaves_the_rest_alone():
    Shelf.objects.create(name="low", size=4, policy="closed")
    changes = apply_document({"sample": {"shelf": {"low": {"size": 5}}}}, reason="more")
    assert [(one.path, one.before, one.after) for one in changes] == [
        ("sample.shelf.low.size", 4, 5)
    ]
    assert Shelf.objects.get().policy == "closed"
    assert Revision.objects.order_by("-number")[0].reason == "more"


def test_null_deletes_a_row():
    Shelf.objects.create(name="low")
    apply_document({"sample": {"shelf": {"low": None, "absent": None}}})
    assert not Shelf.objects.exists()


def test_one_import_is_one_revision():
    rows = {"shelf": {"a": {}, "b": {}}, "book": {"x": {"shelf": "a"}}}
    apply_document({"sample": {"settings": {"workers": 3}, **rows}})
    assert Revision.objects.count() == 1


def test_a_dry_run_shows_the_changes_and_keeps_nothing():
    changes = apply_document({"sample": {"settings": {"workers": 3}}}, dry_run=True)
    assert [one.path for one in changes if one.path.endswith("workers")]
    assert not Revision.objects.exists()
    assert SampleSettings.load().workers == 2


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"workers": 65}, "workers", "between 1 and 64"),
        ({"workers": "many"}, "workers", "1 to 64"),
        ({"workers": True}, "workers", "1 to 64"),
        ({"workers": 1.5}, "workers", "1 to 64"),
        ({"workers": None}, "workers", "null"),
        ({"workers": [1]}, "workers", "1 to 64"),
        ({"wait_seconds": float("nan")}, "wait_seconds", "0.1 s to 1 h"),
        ({"enabled": "yes"}, "enabled", "true or false"),
        ({"wrokers": 1}, "wrokers", "No such field. Known: budget_bytes"),
        ({"id": 2}, "id", "No such field"),
    ],
)
def test_a_bad_value_names_its_field_and_range(values, field, says):
    errors = refused({"sample": {"settings": values}})
    assert says in " ".join(errors[f"sample.settings.{field}"])


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "document"),
        (None, "document"),
        ({"nothing": {}}, "nothing"),
        ({"sample": []}, "sample"),
        ({"sample": {"drawer": {}}}, "sample.drawer"),
        ({"sample": {"shelf": []}}, "sample.shelf"),
        ({"sample": {"settings": 1}}, "sample.settings"),
        ({"sample": {"shelf": {"low": 1}}}, "sample.shelf.low"),
        ({"sample": {"shelf": {"LOW": {}}}}, "sample.shelf.LOW.name"),
        ({"sample": {"shelf": {"low": {"name": "high"}}}}, "sample.shelf.low.name"),
        ({"sample": {"shelf": {"": {"name": "high"}}}}, "sample.shelf..name"),
        ({"sample": {"book": {"x": {"shelf": "absent"}}}}, "sample.book.x.shelf"),
        ({"sample": {"book": {"x": {}}}}, "sample.book.x.shelf"),
        ({"sample": {"shelf": {"low": {"size": 80, "policy": "closed"}}}}, "sample.shelf.low.size"),
    ],
)
def test_a_bad_document_names_the_place(document, path):
    assert path in refused(document)


def test_one_bad_field_keeps_the_whole_document_out():
    errors = refused(
        {"sample": {"settings": {"workers": 3}, "shelf": {"a": {"size": 0}, "b": {"size": 1}}}}
    )
    assert list(errors) == ["sample.shelf.a.size"]
    assert not Shelf.objects.exists()


def test_the_command_exports_and_imports(tmp_path):
    SampleSettings(workers=9).save()
    out = io.StringIO()
    call_command("settings", "export", "sample", stdout=out)
    file = tmp_path / "settings.yaml"
    file.write_text(out.getvalue().replace("workers: 9", "workers: 8"))
    said = io.StringIO()
    call_command("settings", "import", str(file), dry_run=True, stdout=said)
    assert "sample.samplesettings.1.workers: 9 -> 8" in said.getvalue()
    assert SampleSettings.load().workers == 9
    call_command("settings", "import", str(file), reason="less", stdout=io.StringIO())
    assert SampleSettings.load().workers == 8
    assert Revision.objects.order_by("-number")[0].channel == "command"


@pytest.mark.parametrize("text", ["{", "sample: {settings: {workers: 0}}", "\x00"])
def test_the_command_refuses_a_bad_file_and_keeps_nothing(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(CommandError):
        call_command("settings", "import", str(file))
    assert not Revision.objects.exists()


def test_the_command_names_a_file_that_is_not_there():
    with pytest.raises(CommandError, match="absent.yaml"):
        call_command("settings", "import", "absent.yaml")


def test_keys_are_not_exported():
    assert "apikey" not in export_document()["control"]
