"""Linear models with few features."""

from l0.linear_model.sparse_l0_linear import SparseL0Linear

__all__ = ["SparseL0Linear"]
