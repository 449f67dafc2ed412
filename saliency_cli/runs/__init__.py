"""A run's folder: plan, manifest, shards, receipts, crash journal, locks."""
