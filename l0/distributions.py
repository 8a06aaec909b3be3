"""The module name of `HardConcrete` in l0-python 0.6."""

from l0.hard_concrete import HardConcrete

__all__ = ["HardConcrete"]
