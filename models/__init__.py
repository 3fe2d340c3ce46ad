"""The networks of d2l.ai's dropout chapter: from scratch, and concise."""

from models.concise import init_weights, mlp
from models.scratch import Net, Net2, dropout_layer

__all__ = ["Net", "Net2", "dropout_layer", "init_weights", "mlp"]
