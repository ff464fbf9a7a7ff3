"""A small app with live settings, so that the kernel is tested without a component."""
