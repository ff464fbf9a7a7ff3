"""Items for an HTTP address, with their idempotency keys."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import httpx
import msgspec

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.errors import Again, Misconfigured, Poison
from optimizer.batches.services.inbox import Taken
from optimizer.batches.services.sinks.base import Outcome, Row, Sink
from optimizer.control import outgoing

_AT_ONCE = 8  # requests, where each item has one
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509})
_NOT_THE_ITEMS = frozenset({401, 402, 403, 404, 405, 406, 407, 410, 411, 415, 501, 505})


class HttpSink(Sink):
    """Posts items: a list of them in one request, or each in its own.

    A list is `{"items": [{"key": …, "item": …}, …]}`. The header `Idempotency-Key` is the item's
    key, or that of the list; an item without one has its number in the inbox.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if says := outgoing.why_not(job.url):
            raise Misconfigured(f"url: nothing can be sent there: {says}")

    def read(self, item: Taken) -> Row:
        return Row(item, item.payload)  # JSON already

    def write(self, rows: Sequence[Row]) -> Outcome:
        if self.job.one_request_each:
            return self._write_each(rows)
        items = ",".join(f'{{"key":{_json(_key_of(row.item))},"item":{row.value}}}' for row in rows)
        keys = "\n".join(_key_of(row.item) for row in rows)
        digest = blake2b(keys.encode("utf-8", "replace"), digest_size=16).hexdigest()
        self._post(f'{{"items":[{items}]}}', f"batch-{digest}")
        return Outcome(changed=len(rows))

    def _write_each(self, rows: Sequence[Row]) -> Outcome:
        outcome = Outcome(trips=len(rows))
        lanes: dict[int, list[int]] = {}
        for at, row in enumerate(rows):
            lanes.setdefault(row.item.lane if self.job.ordered else at, []).append(at)

        def work(lane: list[int]) -> None:
            for n, at in enumerate(lane):
                try:
                    self._post(rows[at].value, _key_of(rows[at].item))
                except Poison as error:
                    outcome.rejected[at] = error
                except (Again, OSError) as error:
                    # In order: what comes after it waits with it.
                    outcome.again |= dict.fromkeys(lane[n:], error)
                    return
                else:
                    outcome.changed += 1

        with ThreadPoolExecutor(min(_AT_ONCE, len(lanes))) as pool:
            for done in [pool.submit(work, lane) for lane in lanes.values()]:
                done.result()
        outcome.changed = len(rows) - len(outcome.rejected) - len(outcome.again)
        return outcome

    def _post(self, body: str, key: str) -> None:
        try:
            answer = outgoing.post(
                self.job.url,
                body.encode(),
                {"Idempotency-Key": key},
                timeout_seconds=self.job.timeout_seconds,
            )
        except (httpx.InvalidURL, LookupError) as error:
            raise Misconfigured(f"url: {error}") from error
        except httpx.HTTPError as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        status, says = answer.status, answer.says
        if 200 <= status < 300:
            return
        if status in _TRY_AGAIN:
            raise Again(says, after_seconds=answer.retry_after_seconds)
        if status in _NOT_THE_ITEMS or status < 400:
            raise Misconfigured(f"url: the address answers {says}")
        raise Poison from ValueError(says)


def _key_of(item: Taken) -> str:
    return _header(item.key) if item.key else f"item-{item.id}"


def _header(text: str) -> str:
    """Return a key as a header may carry it: others than plain characters are escaped."""
    return text.encode("ascii", "backslashreplace").decode() if text.isprintable() else ascii(text)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
