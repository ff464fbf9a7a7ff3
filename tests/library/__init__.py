"""A book trade with every kind of relation, for the query optimizer to be tried on."""
