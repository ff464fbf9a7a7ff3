"""Forms that are sent what nobody types."""

import pytest

from optimizer.batches.models import DeadLetter
from tests.batches.admin_rows import letter, url
from tests.batches.jobs import make
from tests.batches.test_admin_acts import save

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("text", ["[" * 3000, '{"a": ' + "9" * 5000 + "}"], ids=["deep", "long"])
def test_names_that_no_reader_takes_are_said_to_be_no_json(admin_client, text):
    answer = save(admin_client, make(), fields=text)
    assert answer.status_code == 200
    assert "valid JSON" in " ".join(answer.context["adminform"].form.errors["fields"])
    assert text in answer.content.decode().replace("&quot;", '"')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "Must be JSON"),
        ("[" * 101 + "]" * 101, "at most 100 deep"),
        ('{"n": 1e999}', "Must be JSON"),
        ("9" * 5000, "Must be JSON"),
        ('"\\ud800"', "Must be JSON"),
        ("x" * 300_000, "Must be JSON"),
        ('"' + "x" * 300_000 + '"', "at most 262144 bytes"),
    ],
    ids=["open", "deep", "infinite", "long", "surrogate", "text", "large"],
)
def test_a_letter_that_is_edited_into_nonsense_says_so(admin_client, text, says):
    row = letter(make("notes", handler="ledger"))
    form = {"payload": text, "all_the_same": "on", "save": "1"}
    answer = admin_client.post(url("batches_deadletter_change", row.pk), form)
    assert answer.status_code == 200
    assert says in " ".join(answer.context["form"].errors["payload"])
    assert DeadLetter.objects.get().payload == row.payload
