"""The zoo: wrong dropouts that somebody wrote, each small enough to be read at a glance.

A test is worth what it catches. So here is what the laws must catch: every bug of dropout that is
known from real code, and some kinds that are only to be feared. Each entry names the place where it
was seen and the law that must kill it; ``python -m minigrad.testing`` prints which laws do.

==================  ============================================================================
`rates`             how many are dropped
`values`            what is kept has the wrong value; evaluation; the ends of p; dtype and shape
`gradients`         the output is right, the gradient is not
`independence`      masks that know of each other
`replay`            what cannot be repeated
`found`             what the laws found in libraries in use: see docs/audit.md
`sharing`           workers that share a batch
==================  ============================================================================
"""

from minigrad.testing.zoo import rates, values, gradients, independence, replay, found, sharing  # noqa: I001
from minigrad.testing.zoo.bug import ZOO, Bug

__all__ = ["ZOO", "Bug", "found", "gradients", "independence", "rates", "replay", "sharing"]
__all__ += ["values"]
