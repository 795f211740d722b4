"""Providers around a provider: cache, concurrency, budget, retries, record and replay."""
