"""Pages of the admin that are more than a form."""
