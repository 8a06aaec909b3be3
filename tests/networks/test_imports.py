"""The rooms of l0.networks import one way, and no modules import each other in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import l0.networks

ROOT = Path(l0.networks.__file__).parent

#: For each room, the rooms that it may import; modules on top may import all.
MAY_IMPORT = {
    "graph": {"graph"},
    "gates": {"graph", "gates"},
    "budgets": {"graph", "budgets"},
    "pruning": {"graph", "gates", "budgets", "pruning"},
    "report": {"graph", "gates", "budgets", "pruning", "report"},
}


def module_name(path):
    return ".".join(["l0.networks", *path.relative_to(ROOT).with_suffix("").parts])


MODULES = {module_name(p): p for p in sorted(ROOT.rglob("*.py")) if p.name != "__init__.py"}


def imported(path):
    """Modules of l0.networks that a file imports anywhere: in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & MODULES.keys()


def test_no_modules_import_each_other_in_a_circle():
    order = TopologicalSorter({name: imported(path) for name, path in MODULES.items()})
    assert set(order.static_order()) == MODULES.keys()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room):
    inside = [path for name, path in MODULES.items() if name.split(".")[2] == room]
    assert inside
    rooms = {name.split(".")[2] for path in inside for name in imported(path)}
    assert rooms <= MAY_IMPORT[room]


def test_every_folder_is_a_room_with_one_line_of_description():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == MAY_IMPORT.keys()
    for room in rooms:
        (line,) = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")).body
        assert line.value.value.count("\n") == 0


def test_every_module_has_its_tests():
    tests = Path(__file__).parent
    missing = [
        name
        for name, path in MODULES.items()
        if not (tests / path.relative_to(ROOT).with_name(f"test_{path.name}")).exists()
    ]
    assert not missing
