"""Rate limiter: token buckets in Redis, with tiers that admins change live."""
