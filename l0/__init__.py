"""L0 regularization for PyTorch: choose few records, channels or columns, and lose nothing that matters."""

from l0 import datasets
from l0.calibration import CalibrationProblem, CalibrationResult, Frontier, calibrate, frontier
from l0.errors import InputError
from l0.hadamard import HadamardGate
from l0.hard_concrete import HardConcrete

__all__ = [
    "CalibrationProblem",
    "CalibrationResult",
    "Frontier",
    "HadamardGate",
    "HardConcrete",
    "InputError",
    "calibrate",
    "datasets",
    "frontier",
]
