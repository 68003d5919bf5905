"""Training of toy rankers."""

from mechviz.toys.training.trainer import train

__all__ = ["train"]
