"""L0 regularization for PyTorch: choose few records, and lose nothing that matters."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from l0 import calibration, datasets
    from l0.calibration import (
        CalibrationProblem,
        CalibrationResult,
        Frontier,
        calibrate,
        frontier,
    )
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
    "calibration",
    "datasets",
    "frontier",
]

_HOMES = {
    "CalibrationProblem": "l0.calibration",
    "CalibrationResult": "l0.calibration",
    "Frontier": "l0.calibration",
    "HadamardGate": "l0.hadamard",
    "HardConcrete": "l0.hard_concrete",
    "InputError": "l0.errors",
    "calibrate": "l0.calibration",
    "frontier": "l0.calibration",
}


def __getattr__(name: str) -> object:
    # Names are imported on first use (PEP 562): `import l0` and `l0 --help` stay quick, and who
    # wants a gate does not load what surveys need.
    if name in ("calibration", "datasets"):
        return import_module(f"l0.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'l0' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
