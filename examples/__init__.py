"""Programs to run: ``python -m examples.NAME``."""
