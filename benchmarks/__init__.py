"""Measurements: ``python -m benchmarks.NAME``; each is a ratio of pairs timed in turn."""
