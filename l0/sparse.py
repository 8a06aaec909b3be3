"""The old name of the module of `SparseL0Linear`."""

from l0.linear_model import SparseL0Linear

__all__ = ["SparseL0Linear"]
