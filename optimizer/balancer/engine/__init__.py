"""The algorithms of balancing; they know no Django, and are given clock and randomness."""
