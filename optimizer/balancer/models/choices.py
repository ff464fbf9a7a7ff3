"""The choices of a group."""

from django.db import models


class GroupKind(models.TextChoices):
    """What a group's backends are; it says how their addresses read."""

    HTTP = "http", "HTTP services: http://host:port/base"
    TCP = "tcp", "TCP services: host:port"
    REDIS = "redis", "Redis servers: redis://host:port/0"
    DATABASE = "database", "database replicas: aliases of DATABASES"


class StrategyName(models.TextChoices):
    """How a backend is chosen; the engine has a class for each."""

    P2C_EWMA = "p2c_ewma", "power of two choices, peak EWMA (latency and failures)"
    P2C = "p2c", "power of two choices (calls under way)"
    LEAST_CONNECTIONS = "least_connections", "least connections"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin", "smooth weighted round robin"
    ROUND_ROBIN = "round_robin", "round robin (without weights)"
    RANDOM = "random", "random by weight"
    MAGLEV = "maglev", "Maglev: sticky by key, even"
    RING_HASH = "ring_hash", "ring hash: sticky by key, no needless moves"
    RENDEZVOUS = "rendezvous", "rendezvous: sticky by key, no table"
    BOUNDED_LOAD = "bounded_load", "bounded load: sticky by key, hot keys spread"


class CheckKind(models.TextChoices):
    """How a backend is checked by beat."""

    NONE = "none", "not checked"
    HTTP = "http", "HTTP: status and body of a page"
    TCP = "tcp", "TCP: a connection is taken"
    REDIS = "redis", "Redis: PING is answered"
    SQL = "sql", "SQL: SELECT 1 is answered"
