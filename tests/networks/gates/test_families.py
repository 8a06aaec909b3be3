"""The names of the families."""

import inspect

import pytest
import torch

from l0.networks.gates import unit_gate
from l0.networks.gates.families import FAMILIES, new_gates


def subclasses(cls):
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


def test_every_family_has_a_name():
    families = subclasses(unit_gate.UnitGate) - {unit_gate.UnitGate}
    ours = {family for family in families if family.__module__.startswith("l0.")}
    assert set(FAMILIES.values()) == ours


def test_a_family_is_a_file_of_its_name():
    for name, family in FAMILIES.items():
        assert family.__module__ == f"l0.networks.gates.{name}"
        assert list(inspect.signature(family).parameters) == ["n_units", "start_open"]


@pytest.mark.parametrize("family", FAMILIES)
def test_gates_start_alike_whatever_the_default_device(family):
    expected = new_gates(family, 3, False, torch.device("cpu")).settled()
    with torch.device("meta"):
        assert torch.equal(new_gates(family, 3, False, torch.device("cpu")).settled(), expected)
    there = new_gates(family, 3, False, torch.device("meta"))
    assert {tensor.device.type for tensor in there.state_dict().values()} == {"meta"}
