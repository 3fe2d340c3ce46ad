"""What chapters import as ``torch.distributions``: the multinomial distribution."""

from examples.d2l.distributions import multinomial
from examples.d2l.distributions.multinomial import Multinomial

__all__ = ["Multinomial", "multinomial"]
