"""Arithmetic that several components measure with: no Django, no clock, no I/O."""
