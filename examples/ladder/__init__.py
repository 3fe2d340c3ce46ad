"""From forty lines to minigrad: its engine in seven files, each one idea further.

Each file is complete, needs NumPy at most, and imports no other. Read them in order:
docs/ladder.md shows what changes from one to the next.
"""
