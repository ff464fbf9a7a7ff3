"""Algorithms of operations: no Django, the time and the values passed in."""
