import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState

from tests.sample.models import SampleSettings, Shelf

pytestmark = pytest.mark.django_db


def errors_of(row):
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.message_dict


@pytest.mark.parametrize("value", [0, 65, -1, 10**30])
def test_a_value_out_of_range_is_refused_with_the_range(value):
    assert errors_of(SampleSettings(workers=value)) == {"workers": ["Must be between 1 and 64."]}


def test_the_range_is_told_in_the_unit_people_read():
    says = errors_of(SampleSettings(wait_seconds=4000))["wait_seconds"]
    assert says == ["Must be between 0.1 s and 1 h."]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(value):
    assert "wait_seconds" in errors_of(SampleSettings(wait_seconds=value))


def test_a_fraction_is_not_cut_to_a_whole_number():
    assert "workers" in errors_of(SampleSettings(workers=1.5))


def test_a_pattern_and_a_choice_are_checked():
    errors = errors_of(Shelf(name="Not good", policy="ajar"))
    assert errors["name"] == ["Must be lower case."]
    assert "policy" in errors


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (SampleSettings, {"workers": 0}),
        (SampleSettings, {"wait_seconds": 1e9}),
        (Shelf, {"policy": "ajar"}),
    ],
)
def test_the_database_itself_refuses_what_no_form_checked(model, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.create(**values)


def test_migrations_keep_plain_fields_and_the_constraint():
    state = ModelState.from_model(SampleSettings)
    assert type(state.fields["workers"]).__module__ == "django.db.models.fields"
    names = [one.name for one in state.options["constraints"]]
    assert "sample_samplesettings_workers_range" in names


def test_a_second_look_finds_no_change_to_migrate():
    state = ProjectState()
    state.add_model(ModelState.from_model(SampleSettings))
    again = ProjectState()
    again.add_model(ModelState.from_model(SampleSettings))
    assert MigrationAutodetector(state, again)._detect_changes() == {}  # type: ignore[attr-defined]
