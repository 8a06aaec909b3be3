"""Each test of a fix fails on l0-python 0.6.2: it would notice if the fix were lost."""

import ast
import os
from pathlib import Path
from xml.etree import ElementTree

FIXES = Path(__file__).parents[1] / "test_fixes.py"


def test_every_test_of_a_fix_fails_on_the_old_package(run_on_peer, tmp_path):
    report = tmp_path / "report.xml"
    # Nothing of this project but the file itself: no settings, no conftest, no cache.
    run = run_on_peer(
        *("-m", "pytest", FIXES, "-c", os.devnull, "--rootdir", tmp_path, "--noconftest"),
        *("--import-mode=importlib", "-p", "no:cacheprovider", f"--junitxml={report}"),
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    survivors = [case.get("name") for case in cases if case.find("failure") is None]
    assert not survivors, run.stdout
    names = {case.get("name").partition("[")[0] for case in cases}
    assert names == {
        node.name
        for node in ast.parse(FIXES.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
