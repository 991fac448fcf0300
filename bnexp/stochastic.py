"""The layers that draw, under the name by which networks of one's own import them."""

from bnexp.networks.random_layers import Drawing, Dropout, Noise

__all__ = ["Drawing", "Dropout", "Noise"]
