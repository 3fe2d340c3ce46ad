"""The same network from the library's own layers."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad import Generator, nn


def mlp(
    num_inputs: int = 784,
    num_outputs: int = 10,
    num_hiddens: Sequence[int] = (256, 256),
    dropout: Sequence[float] = (0.2, 0.5),
    generator: Generator | None = None,
) -> nn.Sequential:
    """Return Flatten, then Linear-ReLU-Dropout for each hidden layer, then Linear.

    The names in its state dict are those of the chapter's network: 1.weight, 4.weight, 7.weight.

    Args:
        num_inputs, num_outputs: the widths of the ends.
        num_hiddens: the widths of the hidden layers.
        dropout: the probability of being dropped after each hidden layer.
        generator: where masks are drawn from; None for the default generator.

    Raises:
        ValueError: there are not as many probabilities as hidden layers.
    """
    if len(dropout) != len(num_hiddens):
        raise ValueError(
            f"{len(num_hiddens)} hidden layers need as many dropout probabilities, got {dropout}"
        )
    layers: list[nn.Module] = [nn.Flatten()]
    width = num_inputs
    for hidden, p in zip(num_hiddens, dropout, strict=True):
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(p, generator=generator)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, num_outputs))


def init_weights(m: nn.Module) -> None:
    """Draw a linear layer's weights from N(0, 0.01²): for ``net.apply(...)``, as in the chapter."""
    if type(m) is nn.Linear:
        nn.init.normal_(m.weight, std=0.01)
