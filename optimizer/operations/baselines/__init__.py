"""Baselines: how fast the running server answers, measured over real HTTP, kept, compared."""
