"""The laws of dropout: what every correct one obeys, each as a function that checks it.

If a law of the first four kinds is broken, the noise is wrong: a bug. Told apart from that are
edges, and contracts: what libraries do differently for good reasons.

====================  ==========================================================================
values                ``support`` ``blocks`` ``evaluation`` ``strides`` ``input_untouched``
                      ``containers``
gradients             ``backward_mask`` ``backward_scale`` ``backward_again`` ``no_grad``
how often             ``rate`` ``positions`` ``unbiased`` ``variance`` ``counts``
independence          ``units`` ``calls`` ``layers`` ``streams`` ``ranks`` ``seeds``
                      ``seed_steps`` ``blind``; replay: ``seed`` ``state`` ``rows``
edges                 ``p_zero`` ``p_one`` ``bad_p`` ``dtype`` ``shape`` ``nonfinite`` ``inplace``
                      ``boundary``
contracts             ``quiet`` ``aliasing``
====================  ==========================================================================
"""

from minigrad.testing.laws.edges import (
    aliasing,
    bad_p,
    boundary,
    dtype,
    inplace,
    nonfinite,
    p_one,
    p_zero,
    quiet,
    shape,
)
from minigrad.testing.laws.frequencies import counts, positions, rate, unbiased, variance
from minigrad.testing.laws.gradients import backward_again, backward_mask, backward_scale, no_grad
from minigrad.testing.laws.independence import (
    blind,
    calls,
    layers,
    ranks,
    seed_steps,
    seeds,
    streams,
    units,
)
from minigrad.testing.laws.law import ALPHA, BUG, CONTRACT, EDGE, TIERS, Law
from minigrad.testing.laws.replay import rows, seed, state
from minigrad.testing.laws.trial import BrokenLaw, Trial
from minigrad.testing.laws.values import (
    blocks,
    containers,
    evaluation,
    input_untouched,
    strides,
    support,
)

#: by name, in the order in which they are best read and tried
LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        *(support, blocks, evaluation, strides, input_untouched, containers),
        *(backward_mask, backward_scale, backward_again, no_grad),
        *(rate, positions, unbiased, variance, counts),
        *(units, calls, layers, streams, ranks, seeds, seed_steps, blind, seed, state, rows),
        *(p_zero, p_one, bad_p, dtype, shape, nonfinite, inplace, boundary),
        *(quiet, aliasing),
    )
}

__all__ = ["ALPHA", "BUG", "CONTRACT", "EDGE", "LAWS", "TIERS", "BrokenLaw", "Law", "Trial"]
__all__ += LAWS
