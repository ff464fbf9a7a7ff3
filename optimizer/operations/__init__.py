"""Health, metrics, status, `up`, and the dashboard."""
