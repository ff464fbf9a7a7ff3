"""Ratios against peers, each file one table in one run."""
