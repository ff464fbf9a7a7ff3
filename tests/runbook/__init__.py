"""docs/runbook.md: every command block of it is run here against a product that has the trouble."""
