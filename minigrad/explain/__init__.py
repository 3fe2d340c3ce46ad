"""The walk back, explained: each visit with the formula of the table, what it reads, where it goes.

``explain(y)`` prints it, ``explain(y).save("walk.html")`` writes a page that plays it, and in a
notebook the page is what is shown. ``with recording():`` notes what the graph does not keep.

Reading order: formulas, memory, walk; text and page are two views of the same records.
"""

from minigrad.explain.explanation import Explanation, explain
from minigrad.explain.notebook import load_ipython_extension
from minigrad.explain.recording import recording

__all__ = ["Explanation", "explain", "load_ipython_extension", "recording"]
