"""The module name of `SparseCalibrationWeights` within `l0.calibration`, as in l0-python 0.6."""

from l0.gated_linear.sparse_weights import SparseCalibrationWeights

__all__ = ["SparseCalibrationWeights"]
