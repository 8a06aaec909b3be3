"""Where l0-python 0.6 has it: ``from l0.calibration import SparseCalibrationWeights``."""

from l0.gated_linear.sparse_weights import SparseCalibrationWeights

__all__ = ["SparseCalibrationWeights"]
