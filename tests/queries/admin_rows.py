"""Rows for the pages in the admin to show, and who looks at them."""

from datetime import timedelta

from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from optimizer.measures.histogram import Histogram
from optimizer.queries.engine.hyperloglog import HyperLogLog, hash_of
from optimizer.queries.models import (
    Finding,
    IndexAdvice,
    Statement,
    Statistic,
)

HTML = "<script>alert(1)</script>"
SQL = 'SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."buyer_id" = %s'
PAGES = (
    "queries_live",
    "queries_live_fragment",
    "queries_top",
    "queries_recommendations",
    "queries_finding_changelist",
    "queries_ignorerule_changelist",
)


def url(name: str, *args: object, **query: str) -> str:
    tail = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{reverse(f'admin:{name}', args=args)}?{tail}"


def text_of(client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def finding(number: int = 0, **changed) -> Finding:
    now = timezone.now()
    given = {
        "kind": "n_plus_one",
        "fingerprint": f"{number:016x}",
        "location": f"shop/views.py:{number}",
        "digest": f"{number:032x}",
        "suggestion": 'select_related("buyer")  # shop/views.py:900',
        "sql": SQL,
        "stack": [f"shop/views.py:{number} listing", "shop/urls.py:7 dispatch"],
        "units": ["GET /orders", "shop.tasks.remind"],
        "count": 12,
        "hits": 40,
        "queries": 480,
        "lost_seconds": 1.5 + number,
        "first_seen_at": now - timedelta(days=2),
        "last_seen_at": now,
    }
    return Finding.objects.create(**{**given, **changed})


def statistic(number: int = 0, **changed) -> Statistic:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    durations, parameters = Histogram(), HyperLogLog()
    durations.add_all([0.0004, 0.002, 0.002, 0.31])
    parameters.add_all(hash_of([one]) for one in range(3))
    Statement.objects.update_or_create(
        fingerprint=f"{number:016x}",
        defaults={
            "text": SQL,
            "sql": SQL,
            "verb": "SELECT",
            "tables": ["shop_order"],
            "first_seen_at": now,
            "last_seen_at": now,
        },
    )
    given = {
        "hour": now,
        "fingerprint": f"{number:016x}",
        "location": f"shop/views.py:{number}",
        "unit": "GET /orders",
        "digest": f"{number:032x}",
        "calls": 4000,
        "seconds": 31.44,
        "max_seconds": 0.31,
        "rows": 4000,
        "repeats": 10,
        "n_plus_one": 3000,
        "histogram": durations.to_bytes(),
        "distinct": parameters.to_bytes(),
    }
    return Statistic.objects.create(**{**given, **changed})


def advice(number: int = 0, **changed) -> IndexAdvice:
    given = {
        "fingerprint": f"{number:016x}",
        "table": "shop_order",
        "columns": ["buyer_id", "created_at"],
        "digest": f"{number:032x}",
        "statement": "CREATE INDEX CONCURRENTLY order_buyer ON shop_order (buyer_id)",
        "meta_line": 'models.Index(fields=("buyer", "created_at"), name="order_buyer")',
        "model_label": "shop.Order",
        "verified": "hypothetical index",
        "reason": "It reads all rows to return few.",
        "cost_before": 4342.0,
        "cost_after": 42.0,
        "plan_before": "Seq Scan on shop_order",
        "plan_after": "Index Scan using order_buyer",
        "seconds_per_day": 99.0,
        "checked_at": timezone.now(),
    }
    return IndexAdvice.objects.create(**{**given, **changed})


def staff(client, *codenames: str):
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client
