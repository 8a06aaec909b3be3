"""The documentation, as far as it can be checked without building it."""

import re
from pathlib import Path

import pytest

import l0
import l0.calibration
import l0.networks

DOCS = Path(__file__).parents[1] / "docs"
PARTS = {"_build", "mnist_results.md"}  # no pages of their own
PAGES = sorted(path for path in DOCS.rglob("*.md") if not PARTS & set(path.parts))
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception|data|module):: (\S+)", re.M)
DOCUMENTED = {
    name.removeprefix("l0.")
    for page in (DOCS / "api").glob("*.md")
    for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))
}
PUBLIC = {*l0.__all__, *l0.calibration.__all__, *l0.networks.__all__}


@pytest.mark.parametrize("name", sorted(PUBLIC - {"calibration"}))
def test_every_public_name_is_in_the_reference(name):
    assert name in DOCUMENTED


def test_the_page_of_networks_lists_its_public_names_and_no_others():
    public = {f"l0.networks.{name}" for name in l0.networks.__all__}
    public |= {f"l0.networks.{it}.SparsifierCallback" for it in ("lightning", "transformers")}
    module, listed = "", []
    page = (DOCS / "api" / "networks.md").read_text(encoding="utf-8")
    for directive, name in re.findall(r"^\.\. (\w+):: (\S+)", page, re.M):
        if directive in ("automodule", "currentmodule"):
            module = name
        else:
            full = name if name.startswith("l0.") else f"{module}.{name}"
            # What `l0` exports too is listed under that shorter name.
            listed.append(re.sub(r"^l0\.(\w+)$", r"l0.networks.\1", full))
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_table_of_contents_and_runs_its_code(page):
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    assert name == "index" or re.search(f"^{name}$", (DOCS / "index.md").read_text(), re.M)
    # Without this line a page is plain text, and its cells are shown without being run.
    assert ("{code-cell}" in text) == ("file_format: mystnb" in text)
    # A fence that names Python is shown, not run.
    assert "```python" not in text


def test_the_code_in_readme_that_needs_no_file_runs():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)
    runnable = [block for block in blocks if "read_parquet" not in block]
    assert runnable
    for block in runnable:
        exec(block, {})
