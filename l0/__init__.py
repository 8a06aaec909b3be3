"""L0 regularization for PyTorch: choose few records, and lose nothing that matters."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l0 import calibration, datasets, networks
    from l0.calibration import (
        CalibrationProblem,
        CalibrationResult,
        Frontier,
        SparseCalibrationWeights,
        calibrate,
        frontier,
    )
    from l0.common.errors import InputError
    from l0.gates import FeatureGate, HybridGate, L0Gate, SampleGate
    from l0.hadamard import HadamardGate
    from l0.hard_concrete import HardConcrete
    from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear, SparseMLP, prune_model
    from l0.linear_model import SparseL0Linear
    from l0.networks import Bytes, Macs, Params, Sparsifier, Units, sparsify
    from l0.penalties import (
        PenaltyTracker,
        compute_l0_penalty,
        compute_l0l2_penalty,
        compute_l2_penalty,
        get_active_parameter_count,
        get_sparsity_stats,
    )
    from l0.temperature import TemperatureScheduler, update_temperatures

__all__ = [
    "Bytes",
    "CalibrationProblem",
    "CalibrationResult",
    "FeatureGate",
    "Frontier",
    "HadamardGate",
    "HardConcrete",
    "HybridGate",
    "InputError",
    "L0Conv2d",
    "L0DepthwiseConv2d",
    "L0Gate",
    "L0Linear",
    "Macs",
    "Params",
    "PenaltyTracker",
    "SampleGate",
    "SparseCalibrationWeights",
    "SparseL0Linear",
    "SparseMLP",
    "Sparsifier",
    "TemperatureScheduler",
    "Units",
    "calibrate",
    "calibration",
    "compute_l0_penalty",
    "compute_l0l2_penalty",
    "compute_l2_penalty",
    "datasets",
    "frontier",
    "get_active_parameter_count",
    "get_sparsity_stats",
    "networks",
    "prune_model",
    "sparsify",
    "update_temperatures",
]

_HOMES = {
    "Bytes": "l0.networks",
    "CalibrationProblem": "l0.calibration",
    "CalibrationResult": "l0.calibration",
    "FeatureGate": "l0.gates",
    "Frontier": "l0.calibration",
    "HadamardGate": "l0.hadamard",
    "HardConcrete": "l0.hard_concrete",
    "HybridGate": "l0.gates",
    "InputError": "l0.common.errors",
    "L0Conv2d": "l0.layers",
    "L0DepthwiseConv2d": "l0.layers",
    "L0Gate": "l0.gates",
    "L0Linear": "l0.layers",
    "Macs": "l0.networks",
    "Params": "l0.networks",
    "PenaltyTracker": "l0.penalties",
    "SampleGate": "l0.gates",
    "SparseCalibrationWeights": "l0.calibration",
    "SparseL0Linear": "l0.linear_model",
    "SparseMLP": "l0.layers",
    "Sparsifier": "l0.networks",
    "TemperatureScheduler": "l0.temperature",
    "Units": "l0.networks",
    "calibrate": "l0.calibration",
    "compute_l0_penalty": "l0.penalties",
    "compute_l0l2_penalty": "l0.penalties",
    "compute_l2_penalty": "l0.penalties",
    "frontier": "l0.calibration",
    "get_active_parameter_count": "l0.penalties",
    "get_sparsity_stats": "l0.penalties",
    "prune_model": "l0.layers",
    "sparsify": "l0.networks",
    "update_temperatures": "l0.temperature",
}


def __getattr__(name: str) -> object:
    # Names are imported on first use (PEP 562): `import l0` and `l0 --help` stay quick, and who
    # wants a gate does not load what surveys need.
    if name in ("calibration", "datasets", "networks"):
        return import_module(f"l0.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'l0' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
