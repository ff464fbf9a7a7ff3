"""From the processes' intervals to the database: one reader, each interval once."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import redis
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from optimizer.control.redis import call
from optimizer.measures.histogram import Histogram
from optimizer.queries.engine import intervals, news
from optimizer.queries.engine.hyperloglog import HyperLogLog
from optimizer.queries.engine.news import FindingNews, News, StatementNews, digest_of
from optimizer.queries.engine.settings import Ignore, Ignores
from optimizer.queries.engine.statistics import Gathered, Key, Tally
from optimizer.queries.models import (
    Checkpoint,
    Finding,
    Ignored,
    Statement,
    Statistic,
    TableWrites,
)
from optimizer.queries.models.findings import State
from optimizer.queries.services.reporter import STREAM

T = TypeVar("T")
_COUNTED = (
    "suggestion", "queryset_location", "sql", "stack", "model_state", "units", "count", "hits",
    "queries", "lost_seconds", "last_seen_at",
)  # fmt: skip
BATCH = 200
_CHUNK = 200


def read_all(most_batches: int = 50) -> int:
    """Read what the processes told; return how many intervals that were. Raises RedisAway."""
    total = 0
    for _ in range(most_batches):
        read = _read_batch()
        total += read
        if read < BATCH:
            break
    return total


def _read_batch() -> int:
    """Read a batch: what it tells and how far it goes are committed together."""
    with transaction.atomic():
        Checkpoint.objects.get_or_create(stream="intervals", defaults={"read_at": timezone.now()})
        checkpoint = Checkpoint.objects.select_for_update().get(stream="intervals")
        last = checkpoint.last_id
        entries: Any = call(lambda r: r.xrange(STREAM, min=f"({last}", count=BATCH))
        if not entries:
            return 0
        _store(list(entries))
        checkpoint.last_id = entries[-1][0].decode()
        checkpoint.read_at = timezone.now()
        checkpoint.save()
    last = checkpoint.last_id
    # An entry that stays, as Redis goes away now, is not read twice: it lies before the checkpoint.
    call(lambda r: _trim(r, last))
    return len(entries)


def _trim(r: redis.Redis, last: str) -> None:
    r.xtrim(STREAM, minid=last, approximate=False)
    r.xdel(STREAM, last)


def _store(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    by_hour: dict[datetime, Gathered] = {}
    told = News()
    findings: dict[str, FindingNews] = {}
    for _, fields in entries:
        try:
            gathered = intervals.unpack(fields[b"s"])
            one = news.unpack(fields[b"n"])
        except (intervals.Unreadable, KeyError):
            continue  # of another version, while processes are being replaced
        hour = datetime.fromtimestamp(gathered.until, UTC).replace(
            minute=0, second=0, microsecond=0
        )
        if hour in by_hour:
            by_hour[hour].merge(gathered, 100_000)
        else:
            by_hour[hour] = gathered
        for finding in one.findings:
            if finding.digest in findings:
                findings[finding.digest].merge(finding)
            else:
                findings[finding.digest] = finding
        told.statements += one.statements
        told.used += one.used
        for pattern, hits in one.ignored.items():
            told.ignored[pattern] = told.ignored.get(pattern, 0) + hits
    for hour, gathered in by_hour.items():
        store_statistics(hour, gathered)
    store_findings(findings, told.used)
    store_statements(told.statements)
    _store_ignored(told.ignored)


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _clean(text: str, most: int) -> str:
    return text.replace("\0", "")[:most]


def store_statistics(hour: datetime, gathered: Gathered) -> None:
    """Add what was gathered to an hour's statistics."""
    by_digest: dict[str, tuple[Key, Tally]] = {}
    for key, tally in gathered.tallies.items():
        fingerprint, location, unit = (_clean(one, 300) for one in key)
        cut: Key = (fingerprint[:16], location, unit[:200])
        digest = digest_of(*cut)
        if digest in by_digest:
            by_digest[digest][1].merge(tally)
        else:
            by_digest[digest] = (cut, tally)
    for chunk in _chunks(sorted(by_digest)):
        known = {one.digest: one for one in Statistic.objects.filter(hour=hour, digest__in=chunk)}
        new = []
        for digest in chunk:
            key, tally = by_digest[digest]
            row = known.get(digest)
            if row is None:
                row = Statistic(
                    hour=hour, digest=digest, fingerprint=key[0], location=key[1], unit=key[2]
                )
                new.append(row)
            _add(row, tally)
        Statistic.objects.bulk_create(new)
        Statistic.objects.bulk_update(
            known.values(),
            [
                "calls", "seconds", "square_seconds", "max_seconds", "rows", "repeats",
                "n_plus_one", "histogram", "distinct",
            ],
            batch_size=50,
        )  # fmt: skip
    for table, calls in sorted(gathered.writes.items()):
        written, _ = TableWrites.objects.get_or_create(hour=hour, table=_clean(table, 200))
        written.calls += calls
        written.save(update_fields=["calls"])


def _add(row: Statistic, tally: Tally) -> None:
    if row.pk is not None:
        tally.histogram.merge(Histogram.from_bytes(bytes(row.histogram)))
        tally.distinct.merge(HyperLogLog.from_bytes(bytes(row.distinct)))
    row.calls += tally.calls
    row.seconds += tally.seconds
    row.square_seconds += tally.square_seconds
    row.max_seconds = max(row.max_seconds, tally.max_seconds)
    row.rows += tally.rows
    row.repeats += tally.repeats
    row.n_plus_one += tally.n_plus_one
    row.histogram = tally.histogram.to_bytes()
    row.distinct = tally.distinct.to_bytes()


def store_findings(findings: dict[str, FindingNews], used: Iterable[str] = ()) -> None:
    """Add findings; one that was fixed opens again, and a changed model or code renews its fix."""
    now = timezone.now()
    known = {one.digest: one for one in Finding.objects.filter(digest__in=list(findings))}
    for digest, told in sorted(findings.items()):
        row = known.get(digest)
        if row is None:
            row = Finding(
                digest=digest,
                kind=told.kind,
                fingerprint=told.fingerprint[:16],
                location=_clean(told.location, 300),
                first_seen_at=now,
            )
        if row.pk is None or row.model_state != told.model_state:
            row.suggestion = _clean(told.suggestion, 2000)
            row.queryset_location = _clean(told.queryset_location, 300)
            row.sql, row.stack = _clean(told.sql, news.MOST_SQL_LENGTH), told.stack[:8]
            row.model_state = told.model_state[:16]
        row.units = list(dict.fromkeys([*told.units, *row.units]))[: news.MOST_UNITS]
        row.count = max(row.count, told.count)
        row.hits += told.hits
        row.queries += told.queries
        row.lost_seconds += told.lost_seconds
        row.last_seen_at = now
        # What people decide meanwhile is theirs to write.
        row.save(update_fields=None if row.pk is None else _COUNTED)
    Finding.objects.filter(digest__in=list(findings), state=State.FIXED).update(
        state=State.OPEN, reopened=F("reopened") + 1
    )
    unused = Finding.objects.filter(kind=Finding.Kind.UNUSED_EAGER_LOAD, state=State.OPEN)
    unused.filter(digest__in=list(used)).delete()


def store_statements(statements: Iterable[StatementNews]) -> None:
    """Remember what fingerprints stand for."""
    now = timezone.now()
    latest = {one.fingerprint: one for one in statements}
    for chunk in _chunks(sorted(latest)):
        risky = set(
            Statement.objects.filter(fingerprint__in=chunk, after_own_write=True).values_list(
                "fingerprint", flat=True
            )
        )
        Statement.objects.bulk_create(
            [
                Statement(
                    fingerprint=one.fingerprint,
                    text=_clean(one.text, news.MOST_SQL_LENGTH),
                    sql=_clean(one.sql, news.MOST_SQL_LENGTH),
                    alias=one.alias[:64],
                    verb=one.verb,
                    tables=one.tables,
                    locking=one.locking,
                    volatile=one.volatile,
                    after_own_write=one.after_own_write or one.fingerprint in risky,
                    first_seen_at=now,
                    last_seen_at=now,
                )
                for one in (latest[fingerprint] for fingerprint in chunk)
            ],
            update_conflicts=True,
            unique_fields=["fingerprint"],
            update_fields=["sql", "alias", "after_own_write", "last_seen_at"],
        )


def _store_ignored(ignored: dict[str, int]) -> None:
    now = timezone.now()
    for pattern, hits in sorted(ignored.items()):
        row, _ = Ignored.objects.get_or_create(pattern=pattern[:200], defaults={"last_at": now})
        row.hits, row.last_at = row.hits + hits, now
        row.save()


def apply_ignores(given: tuple[Ignore, ...]) -> None:
    """Take findings off the list that were stored before a pattern ignored them."""
    if not given:
        return
    ignores = Ignores(given)
    matched = [
        one.pk
        for one in Finding.objects.filter(state=State.OPEN).iterator(chunk_size=500)
        if all(ignores.match(one.location, one.fingerprint, unit) for unit in one.units or [""])
    ]
    Finding.objects.filter(pk__in=matched).update(state=State.IGNORED)


def forget_old(keep_days: int) -> None:
    """Delete statistics, and open findings that were not seen for so long."""
    before = timezone.now() - timedelta(days=keep_days)
    Statistic.objects.filter(hour__lt=before).delete()
    TableWrites.objects.filter(hour__lt=before).delete()
    Statement.objects.filter(last_seen_at__lt=before).delete()
    Finding.objects.filter(state=State.OPEN, last_seen_at__lt=before).delete()
