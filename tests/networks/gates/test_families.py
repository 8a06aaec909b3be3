"""The names of the families."""

import inspect

from l0.networks.gates import unit_gate
from l0.networks.gates.families import FAMILIES


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
