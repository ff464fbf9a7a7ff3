"""The balancer's own pages in the admin."""
