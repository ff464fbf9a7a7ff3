"""A semaphore that is fair and changes while it works."""

import random
import threading
import time
from functools import partial

import pytest

from optimizer.pools.engine.semaphore import AcquireTimeout, FairSemaphore
from tests.pools.waiting import wait_until

pytestmark = pytest.mark.any_database


def has(order: list[int], count: int) -> bool:
    return len(order) >= count


def waiting(places: FairSemaphore, order: list[int], number: int) -> threading.Thread:
    def run() -> None:
        places.acquire(30.0)
        order.append(number)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: places.waiting == number + 1 - len(order))
    return thread


def test_who_waits_has_a_place_in_the_order_of_coming():
    places, order = FairSemaphore(1), list[int]()
    places.acquire(1.0)
    threads = [waiting(places, order, number) for number in range(5)]
    for number in range(5):
        places.release()
        wait_until(partial(has, order, number + 1))
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_it_tells_in_time_that_no_place_came_free():
    places = FairSemaphore(1)
    places.acquire(1.0)
    with pytest.raises(AcquireTimeout):
        places.acquire(0.05)
    assert places.waiting == 0
    places.release()
    assert places.acquire(0.05) == 0.0


def test_a_higher_limit_lets_in_who_waits_and_a_lower_one_holds_for_the_next():
    places, order = FairSemaphore(1), list[int]()
    places.acquire(1.0)
    threads = [waiting(places, order, number) for number in range(2)]
    places.resize(3)
    wait_until(lambda: len(order) == 2)
    places.resize(1)
    places.release()
    places.release()
    with pytest.raises(AcquireTimeout):
        places.acquire(0.01)
    places.release()
    assert places.acquire(0.01) == 0.0
    for thread in threads:
        thread.join()


def test_a_suspension_ends_by_itself_and_by_hand():
    places = FairSemaphore(1)
    places.suspend(time.time() + 0.1)
    assert places.acquire(30.0) >= 0.05
    places.release()
    places.suspend(time.time() + 600)
    threading.Timer(0.1, places.suspend, [0.0]).start()
    assert places.acquire(30.0) < 20
    places.release()
    places.suspend(time.time() + 600)
    with pytest.raises(AcquireTimeout):
        places.acquire(0.05)
    assert places.waiting == 0


def test_never_more_are_in_than_the_limit_whatever_changes():
    places, inside, most = FairSemaphore(4), [0], [0]
    limit, count, lock = [4], [0], threading.Lock()
    ends = time.monotonic() + 1.0

    def work(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        while time.monotonic() < ends:
            try:
                places.acquire(chance.choice((0.0001, 0.01, 30.0)))
            except AcquireTimeout:
                continue
            with lock:
                inside[0] += 1
                count[0] += 1
                most[0] = max(most[0], inside[0])
            if chance.random() < 0.2:
                time.sleep(0.0005)
            with lock:
                inside[0] -= 1
            places.release()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    while time.monotonic() < ends:
        limit[0] = 1 + (limit[0] + 2) % 6
        places.resize(limit[0])
        time.sleep(0.003)
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] <= 6 and count[0] > 100
    assert places.inside == 0 and places.waiting == 0
