"""What operations know, for its pages and commands."""
