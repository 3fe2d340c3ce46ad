"""The page: a network is trained for a moment, and packed with the files beside this one.

The page computes by itself. `masks.js` draws minigrad's own masks, `network.js` goes forward and
back, `page.js` shows it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from data.fashion_mnist import CLASSES, SAMPLE_DIR, FashionMNIST, load_fashion_mnist
from minigrad import Generator, nn, optim
from minigrad.training import fit
from minigrad.utils.data import DataLoader
from models.concise import mlp

FOLDER = Path(__file__).parent
FILES = ("page.css", "masks.js", "network.js", "page.js")
IMAGES = 12  # of the test half


def trained(train: FashionMNIST, test: FashionMNIST, seed: int, epochs: int) -> nn.Sequential:
    """Return the chapter's network after a few epochs, with dropout."""
    weights, masks, order = Generator(seed).spawn(3)
    net = mlp(dropout=(0.2, 0.5), generator=masks)
    for name, parameter in net.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, generator=weights)
        else:
            nn.init.zeros_(parameter)
    batches = DataLoader(train, 64, shuffle=True, generator=order)
    updater = optim.SGD(net.parameters(), lr=0.1)
    fit(net, batches, DataLoader(test, 500), nn.CrossEntropyLoss(), epochs, updater)
    return net


def packed(layer: nn.Linear) -> dict[str, Any]:
    """Return a layer as JSON has it: weights as integers of 16 bits, and a factor."""
    assert layer.bias is not None
    weight = layer.weight.detach().numpy()
    factor = float(np.abs(weight).max()) / (2**15 - 1)
    integers = np.round(weight / factor).astype("<i2")
    return {
        "outputs": weight.shape[0],
        "inputs": weight.shape[1],
        "factor": factor,
        "weight": base64.b64encode(integers.tobytes()).decode(),
        "bias": layer.bias.detach().numpy().astype(float).tolist(),
    }


def page(net: nn.Sequential, images: np.ndarray, labels: np.ndarray) -> str:
    """Return the page as HTML, which needs nothing else.

    Args:
        net: hidden layers of 256 units.
        images: uint8, shape (n, 28, 28).
        labels: integers, shape (n,).
    """
    data = {
        "classes": CLASSES,
        "labels": labels.tolist(),
        "images": base64.b64encode(images.tobytes()).decode(),
        "layers": [packed(layer) for layer in net if isinstance(layer, nn.Linear)],
    }
    parts = {name: (FOLDER / name).read_text(encoding="utf-8") for name in FILES}
    parts["data"] = json.dumps(data).replace("<", "\\u003c")
    html = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        html = html.replace(f"/* {name} */", text)
    return html


def chosen(test: FashionMNIST) -> np.ndarray:
    """Return the places of the images shown: the first of each class, and of the rest the first."""
    first = [int(np.flatnonzero(test.labels == label)[0]) for label in range(len(CLASSES))]
    return np.array(first + [i for i in range(len(test)) if i not in first][: IMAGES - len(first)])


def made(seed: int = 0, epochs: int = 5) -> str:
    """Return the page of a network trained on the sample."""
    train, test = load_fashion_mnist(SAMPLE_DIR, quiet=True)
    places = chosen(test)
    return page(trained(train, test, seed, epochs), test.images[places], test.labels[places])
