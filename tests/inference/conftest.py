"""The tiny network is at hand here."""

from tiny_network import tiny

__all__ = ["tiny"]
