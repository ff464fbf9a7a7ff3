"""Managed connection pools of PostgreSQL, Redis and MongoDB; knows no Django."""
