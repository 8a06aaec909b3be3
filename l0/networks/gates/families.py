"""The families of gates by the names that :func:`l0.sparsify` takes."""

from __future__ import annotations

import torch

from l0.networks.gates.hadamard import HadamardUnits
from l0.networks.gates.hard_concrete import HardConcreteUnits

#: A new family is a subclass of `UnitGate` in a file of its own, and a line here.
FAMILIES: dict[str, type[HadamardUnits | HardConcreteUnits]] = {
    "hadamard": HadamardUnits,
    "hard_concrete": HardConcreteUnits,
}


def new_gates(
    family: str, n_units: int, start_open: bool, device: torch.device
) -> HadamardUnits | HardConcreteUnits:
    """Return the gates of one group, which start with the same values on every device.

    Parameters
    ----------
    family : str
        A name in `FAMILIES`.
    n_units : int
        Number of units.
    start_open : bool
        Whether the gates start open or half open.
    device : torch.device
        Where the gates are, whatever `torch.set_default_device` says.

    Returns
    -------
    UnitGate
    """
    with torch.device("cpu"):
        gates = FAMILIES[family](n_units, start_open)
    return gates.to(device)
