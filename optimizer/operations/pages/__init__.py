"""Pages of operations beside those of its settings."""
