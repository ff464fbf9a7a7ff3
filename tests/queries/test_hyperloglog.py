import math
import random
import statistics
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from optimizer.queries.engine import hyperloglog
from optimizer.queries.engine.hyperloglog import MOST_EXACT, REGISTERS, HyperLogLog, hash_of

pytestmark = pytest.mark.any_database

HASHES = st.integers(-(2**63), 2**64 - 1)


def sketch_of(hashes):
    sketch = HyperLogLog()
    sketch.add_all(hashes)
    return sketch


def randoms(count, seed):
    rng = random.Random(seed)  # noqa: S311  # a sample
    return [rng.getrandbits(64) for _ in range(count)]


@given(st.lists(HASHES, max_size=100), st.integers(1, 20))
def test_few_are_counted_exactly_however_often_they_come(hashes, times):
    sketch = HyperLogLog()
    for _ in range(times):
        for one in hashes:
            sketch.add(one)
    assert sketch.count() == len({one % 2**32 for one in hashes})
    assert len(sketch._log) <= sketch._limit <= 16 + 1.5 * len(hashes)


@pytest.mark.parametrize("count", [400, 1500, 5000, 20_000])
def test_many_are_estimated_as_well_as_the_theory_says(count):
    errors = [sketch_of(randoms(count, seed)).count() / count - 1 for seed in range(40)]
    standard = 0.761 / math.sqrt(REGISTERS)
    assert abs(statistics.mean(errors)) < 4 * standard / math.sqrt(40)  # no bias
    assert statistics.pstdev(errors) < 1.4 * standard
    assert max(map(abs, errors)) < 0.05


def test_each_way_to_add_comes_to_the_same():
    hashes = randoms(3000, 1)
    one_by_one = HyperLogLog()
    for one in hashes:
        one_by_one.add(one)
    assert one_by_one.to_bytes() == sketch_of(hashes).to_bytes()
    assert one_by_one.to_bytes() == sketch_of(reversed(hashes * 2)).to_bytes()


@given(
    st.lists(HASHES, max_size=40),
    st.sampled_from([0, 100, MOST_EXACT * 2]),
    st.sampled_from([0, 100, MOST_EXACT * 2]),
)
def test_merged_is_as_if_one_had_seen_all(common, mine, others):
    ours, theirs = common + randoms(mine, 1), common + randoms(others, 2)
    merged, other = sketch_of(ours), sketch_of(theirs)
    before = other.to_bytes()
    merged.merge(other)
    # The log is given up by what was added, so one that has seen all may still have its own.
    assert spread(merged) == spread(sketch_of(ours + theirs))
    assert other.to_bytes() == before


def spread(sketch):
    """Return the registers that a sketch has or would have."""
    return bytes(sketch._registers or hyperloglog._spread(sketch._log))


@pytest.mark.parametrize("count", [0, 1, 300, MOST_EXACT * 2])
def test_bytes_give_the_sketch_back(count):
    sketch = sketch_of(randoms(count, 3))
    data = sketch.to_bytes()
    assert len(data) <= REGISTERS
    again = HyperLogLog.from_bytes(data)
    assert again.to_bytes() == data
    assert again.count() == sketch.count()


@pytest.mark.parametrize("data", [b"abc", bytes(REGISTERS + 4), b"\xff" * REGISTERS])
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match="sketch|register"):
        HyperLogLog.from_bytes(data)


def test_the_registers_that_hold_all_have_an_answer():
    full = HyperLogLog.from_bytes(bytes([hyperloglog._HIGHEST_RANK << 2 | 3] * REGISTERS))
    assert full.count() >= 2**31


# --- Parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters_of",
    [
        lambda number: (number,),
        lambda number: (2**62 + number % 100 * 4096, 2**61 + number // 100 * 4096),
        lambda number: (f"user{number}@example.org", True, None),
        lambda number: [float(number), b"x"],
    ],
)
def test_parameters_that_resemble_each_other_hash_as_if_by_chance(parameters_of):
    hashes = {hash_of(parameters_of(number)) for number in range(20_000)}
    assert len(hashes) == 20_000
    assert sketch_of(hashes).count() == pytest.approx(20_000, rel=0.05)


def test_every_process_has_the_same_hash():
    parameters = (42, "é", None, 1.5, b"x", Decimal("1.50"), datetime(2024, 1, 2, tzinfo=UTC))
    code = (
        "from datetime import UTC, datetime; from decimal import Decimal\n"
        "from optimizer.queries.engine.hyperloglog import hash_of\n"
        f"print(hash_of({parameters!r}))".replace("datetime.datetime(", "datetime(").replace(
            "datetime.timezone.utc", "UTC"
        )
    )
    found = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
        for _ in range(2)
    }
    assert found == {f"{hash_of(parameters)}\n".encode()}


class Broken:
    def __repr__(self):
        raise RuntimeError


def test_any_parameters_have_a_hash():
    number = uuid.UUID(int=7)
    unlike = [(2**70,), (2**70 + 1,), ("\ud800",), ("\ud801",), {"a": 1}, {"a": 2}, (number,), None]
    assert len({hash_of(one) for one in unlike}) == len(unlike)
    assert hash_of((Broken(),)) == hash_of((Broken(),))
    assert hash_of((mark_safe("a"),)) == hash_of(("a",))  # noqa: S308
    assert hash_of((1,)) != hash_of(("1",))
