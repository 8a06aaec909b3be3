"""The rooms: imports go one way, every module is tested by name, and the map is the tree."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "l0").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}
#: Modules of one import each, under the names of l0-python 0.6: tests/test_modules.py is theirs.
OLD_NAMES = {"l0.distributions", "l0.sparse", "l0.calibration.sparse_weights"}
#: Rooms of `l0`, each of which imports only from those before it.
ORDER = [
    ["common"],
    ["data", "sparse_operator", "hard_concrete", "hadamard", "tracker"],
    ["temperature"],
    ["penalties"],
    ["layers", "gated_linear", "linear_model"],
    ["calibration", "networks"],
    ["datasets", "gates"],
    ["output_files"],
    ["cli", "distributions", "sparse"],
]
#: Rooms of `l0.calibration`, in the same way.
CALIBRATION = [
    ["progress", "solver_settings", "replicate_settings", "findings"],
    ["options"],
    ["inputs"],
    ["problem"],
    ["checkpoints"],
    ["reading", "preconditions", "mapped"],
    ["diagnosis"],
    ["sampling"],
    ["checking", "template"],
    ["fitting"],
    ["selection"],
    ["evaluation"],
    ["variance"],
    ["results"],
    ["checks"],
    ["replicate_columns", "replicate_totals"],
    ["holdout", "replicate", "compiled"],
    ["solve"],
    ["cross_validation", "trace"],
    ["api"],
    ["calibrate", "frontier", "sparse_weights"],
    ["rerun"],
]


#: Rooms of `l0.networks`, in the same way.
NETWORKS = [
    ["graph", "held_layers"],
    ["gates", "budgets"],
    ["pruning"],
    ["timing"],
    ["report"],
    ["storage", "sparsifier", "accepted"],
    ["sparsify", "callback_helpers"],
    ["lightning", "transformers"],
]


def imports_of(name):
    """Modules that one imports anywhere: at its top, within functions, or for types alone."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            asked = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            asked = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {module for module in asked if module in MODULES}
    return found


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter({name: imports_of(name) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("parent", "order"),
    [("l0", ORDER), ("l0.calibration", CALIBRATION), ("l0.networks", NETWORKS)],
    ids=lambda x: str(x)[:14],
)
def test_rooms_import_only_from_rooms_before_them(parent, order):
    place = {room: rank for rank, rooms in enumerate(order) for room in rooms}
    backwards = []
    for name in MODULES:
        if not name.startswith(f"{parent}."):
            continue
        room = name.removeprefix(f"{parent}.").split(".")[0]
        for other in imports_of(name):
            if other.startswith(f"{parent}."):
                target = other.removeprefix(f"{parent}.").split(".")[0]
                if place[target] > place[room] or (place[target] == place[room] and target != room):
                    backwards.append(f"{name} imports {other}")
    assert not backwards


@pytest.mark.parametrize("name", sorted(MODULES.keys() - OLD_NAMES))
def test_every_module_has_a_test_file_of_its_name(name):
    *rooms, module = name.split(".")[1:]
    assert (ROOT / "tests" / Path(*rooms) / f"test_{module}.py").is_file()


def test_the_map_in_contributing_is_the_tree():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"## The map of the rooms\n+.*?```\n(.*?)```", text, re.DOTALL)[1]
    listed, rooms = set(), []
    for line in block.splitlines():
        if not (entry := re.match(r"( *)([a-z_0-9]+(?:/|\.py))  +\S", line)):
            continue
        depth = len(entry[1]) // 2
        rooms = [*rooms[:depth], entry[2].strip("/")]
        if entry[2].endswith(".py"):
            listed.add("/".join(rooms))
    there = {path.relative_to(ROOT).as_posix() for path in MODULES.values()}
    assert listed == there


def test_every_room_of_networks_says_in_one_line_what_it_is_for():
    root = ROOT / "l0" / "networks"
    rooms = {path.parent.name for path in root.glob("*/__init__.py")}
    assert rooms == {"graph", "gates", "budgets", "pruning", "report", "timing"}
    for room in rooms:
        (line,) = ast.parse((root / room / "__init__.py").read_text(encoding="utf-8")).body
        assert line.value.value.count("\n") == 0
