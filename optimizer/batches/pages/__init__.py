"""The batch processor's own pages in the admin, by subject."""
