"""Pick, report, share, check, forward."""
