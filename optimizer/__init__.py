"""The platform (control, operations, client) and four of the six components."""
