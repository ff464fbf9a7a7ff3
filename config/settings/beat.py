"""What beat has the workers do, and how often.

Beat puts these into the admin's periodic tasks when it starts; switched off there they stay off.
"""

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, object]] = {
    # One that no worker has begun before the next is due would only pile up.
    "caching-sweep": {
        "task": "caching.sweep",
        "schedule": 60.0,
        "options": {"expire_seconds": 60},
    },
    "batches-sweep": {
        "task": "batches.sweep",
        "schedule": 2.0,
        "options": {"expire_seconds": 2},
    },
    "batches-forget": {
        "task": "batches.forget",
        "schedule": 300.0,
        "options": {"expire_seconds": 300},
    },
    "balancer-check": {
        "task": "balancer.check",
        "schedule": 2.0,
        "options": {"expire_seconds": 2},
    },
    "queries-collect": {
        "task": "queries.collect",
        "schedule": 15.0,
        "options": {"expire_seconds": 15},
    },
    "queries-look-for-indexes": {
        "task": "queries.look_for_indexes",
        "schedule": 300.0,
        "options": {"expire_seconds": 300},
    },
    "queries-forget": {
        "task": "queries.forget",
        "schedule": 3600.0,
        "options": {"expire_seconds": 3600},
    },
    "operations-watch": {
        "task": "operations.watch",
        "schedule": crontab(),  # as each minute begins: none is left out
        "options": {"expire_seconds": 60},
    },
    # When it is due is a setting of operations; one that was missed is made late.
    "operations-review": {
        "task": "operations.review",
        "schedule": 300.0,
        "options": {"expire_seconds": 300},
    },
    "operations-forget": {
        "task": "operations.forget",
        "schedule": 3600.0,
        "options": {"expire_seconds": 3600},
    },
}
