"""The families of gates by the names that :func:`l0.sparsify` takes."""

from __future__ import annotations

from l0.networks.gates.hadamard import HadamardUnits
from l0.networks.gates.hard_concrete import HardConcreteUnits

#: A new family is a subclass of `UnitGate` in a file of its own, and a line here.
FAMILIES: dict[str, type[HadamardUnits | HardConcreteUnits]] = {
    "hadamard": HadamardUnits,
    "hard_concrete": HardConcreteUnits,
}
