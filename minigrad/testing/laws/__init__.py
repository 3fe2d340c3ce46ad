"""The laws of dropout: what every correct one obeys, each as a function that checks it.

====================  ==========================================================================
values                ``support`` ``p_zero`` ``p_one`` ``bad_p`` ``evaluation`` ``dtype`` ``shape``
                      ``nonfinite`` ``input_untouched`` ``aliasing`` ``inplace`` ``boundary``
                      ``containers``
gradients             ``backward_mask`` ``backward_scale`` ``no_grad``
replay                ``seed`` ``state``
how often             ``rate`` ``positions`` ``unbiased`` ``variance`` ``counts``
independence          ``units`` ``calls`` ``layers`` ``streams`` ``seeds`` ``blind``
====================  ==========================================================================
"""

from minigrad.testing.laws.frequencies import counts, positions, rate, unbiased, variance
from minigrad.testing.laws.gradients import backward_mask, backward_scale, no_grad
from minigrad.testing.laws.independence import blind, calls, layers, seeds, streams, units
from minigrad.testing.laws.law import ALPHA, BrokenLaw, Law, Trial
from minigrad.testing.laws.replay import seed, state
from minigrad.testing.laws.values import (
    aliasing,
    bad_p,
    boundary,
    containers,
    dtype,
    evaluation,
    inplace,
    input_untouched,
    nonfinite,
    p_one,
    p_zero,
    shape,
    support,
)

#: by name, in the order in which they are best read and tried
LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        *(support, p_zero, p_one, bad_p, evaluation, dtype, shape, nonfinite),
        *(input_untouched, aliasing, inplace, boundary, containers),
        *(backward_mask, backward_scale, no_grad),
        *(seed, state),
        *(rate, positions, unbiased, variance, counts),
        *(units, calls, layers, streams, seeds, blind),
    )
}

__all__ = ["ALPHA", "LAWS", "BrokenLaw", "Law", "Trial"]
__all__ += LAWS
