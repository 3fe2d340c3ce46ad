"""The laws of dropout on the dropouts in use: what `docs/audit.md` is made from."""
