"""The query optimizer's own pages in the admin, by subject."""
