"""The module name of `SparseL0Linear` in l0-python 0.6."""

from l0.gated_linear.sparse_l0_linear import SparseL0Linear

__all__ = ["SparseL0Linear"]
