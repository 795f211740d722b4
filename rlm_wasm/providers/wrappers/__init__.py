"""Providers around a provider: cache, concurrency, budget, record and replay."""
