"""The documentation, as far as it can be checked without building it."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PARTS = {"_build", "mnist_results.md"}  # no pages of their own
PAGES = sorted(path for path in DOCS.rglob("*.md") if not PARTS & set(path.parts))
DIRECTIVE = re.compile(r"^\.\. (currentmodule|py:module|auto\w+):: ([\w.]+)", re.M)
#: The modules whose exported names are public. All other modules are private.
PUBLIC = [
    "l0",
    "l0.calibration",
    "l0.datasets",
    "l0.distributions",
    "l0.gates",
    "l0.hard_concrete",
    "l0.layers",
    "l0.linear_model",
    "l0.networks",
    "l0.networks.lightning",
    "l0.networks.transformers",
    "l0.penalties",
    "l0.sparse",
    "l0.temperature",
]


def documented_names(page):
    """Names that a page of the reference documents, with the objects."""
    module, found = "l0", {}
    for directive, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
        if directive.endswith("module"):
            module = name
            continue
        full = name if name.startswith("l0.") else f"{module}.{name}"
        owner, _, attribute = full.rpartition(".")
        found[full] = getattr(import_module(owner), attribute)
    return found


def public_names(module):
    """Names that a module exports, with the objects; modules among them are left out."""
    room = import_module(module)
    named = {f"{module}.{name}": getattr(room, name) for name in room.__all__}
    return {name: value for name, value in named.items() if not isinstance(value, ModuleType)}


def by_identity(found):
    """An object that has several names counts once."""
    return {id(value): name for name, value in found.items()}


def test_the_reference_lists_exactly_the_public_names():
    public, documented = {}, {}
    for module in PUBLIC:
        public |= public_names(module)
    for page in (DOCS / "api").glob("*.md"):
        documented |= documented_names(page)
    public, documented = by_identity(public), by_identity(documented)
    assert [name for key, name in public.items() if key not in documented] == []
    assert [name for key, name in documented.items() if key not in public] == []


#: What a `Report` and the structure of a `Sparsifier` are made of: their examples show these.
PARTS_OF_RESULTS = {
    f"l0.networks.{name}"
    for name in (
        "BudgetRow", "Change", "GroupRow", "LayerRow", "LeftOut", "Member", "Structure",
        "UnitGroup",
    )
}  # fmt: skip


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_has_an_example(module):
    found = {name: value for name, value in public_names(module).items() if callable(value)}
    without = {name for name, value in found.items() if "Examples\n" not in value.__doc__}
    assert without <= PARTS_OF_RESULTS


def listed_pages():
    """Pages that the table of contents of a page lists."""
    return {
        page.parent / f"{name}.md"
        for page in PAGES
        for contents in re.findall(r"```{toctree}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for name in re.findall(r"^[\w/]+$", contents, re.M)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_table_of_contents_and_runs_its_code(page):
    text = page.read_text(encoding="utf-8")
    assert page in listed_pages() | {DOCS / "index.md"}
    # Without this line a page is plain text, and its cells are shown without being run.
    assert ("{code-cell}" in text) == ("file_format: mystnb" in text)
    # A fence that names Python is shown, not run.
    assert "```python" not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_line_of_code_is_wider_than_a_page(page):
    fences = re.findall(r"^```(\S+).*?\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M)
    code = [text for kind, text in fences if kind not in ("{eval-rst}", "{glossary}", "{image}")]
    assert [line for text in code for line in text.splitlines() if len(line) > 90] == []


def test_the_cookbook_has_twenty_recipes():
    text = (DOCS / "cookbook.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^### (\d+)\. .*?\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.M)
    assert [int(number) for number, _ in recipes] == list(range(1, 21))
    for _, recipe in recipes:
        assert "**You have**" in recipe and "**You want**" in recipe and "{code-cell}" in recipe


def test_no_page_advises_to_install_an_older_release():
    # PyPI has 0.6.2 under this name, and its extras are others.
    advice = re.compile(r"pip install[^\n]*l0-python(?!==)")
    found = [page.name for page in PAGES if advice.search(page.read_text(encoding="utf-8"))]
    assert found == []


def test_the_code_in_readme_that_needs_no_file_runs():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    runnable = [block for block in blocks if "read_parquet" not in block]
    assert runnable
    for block in runnable:
        room = {}
        exec(block, room)
        if "sparsifier" in room:  # the first thing that is seen of networks
            assert room["sparsifier"].report().warnings == []
