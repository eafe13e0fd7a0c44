"""Train deep ensembles, keep every epoch, and see why averaging them works."""

from importlib.metadata import version

__version__ = version("modescope")
