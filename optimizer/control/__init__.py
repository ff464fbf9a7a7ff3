"""The kernel: live settings, revisions, registry, Redis access, API keys, admin bases."""
