"""The old name of the module of `HardConcrete`."""

from l0.hard_concrete import HardConcrete

__all__ = ["HardConcrete"]
