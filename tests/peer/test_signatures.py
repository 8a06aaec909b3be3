"""Names, order and defaults of everything public in l0-python 0.6.2 are kept."""

import importlib
import json
from pathlib import Path

import pytest

import l0
from tests.peer import signatures


@pytest.fixture(scope="module")
def peer(run_on_peer):
    run = run_on_peer(Path(signatures.__file__))
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_all_signatures_are_kept(peer):
    ours, theirs = signatures.describe(), peer["signatures"]
    assert len(theirs) > 80
    assert not {name: kept for name in theirs if (kept := differences(ours, theirs, name))}


def differences(ours, theirs, name):
    """What a caller of 0.6.2 would notice."""
    if name not in ours:
        return "missing"
    # A parameter that was required may have a default now; what is new goes by keyword.
    had, have = theirs[name], ours[name][: len(theirs[name])]
    new = [parameter["name"] for parameter in ours[name][len(had) :] if not only_named(parameter)]
    found = [f"{parameter} may be given by position" for parameter in new]
    for old, now in zip(had, [*have, *[None] * (len(had) - len(have))], strict=True):
        expected = old if old["default"] else {**old, "default": now and now["default"]}
        if now != expected:
            found.append(f"{old} became {now}")
    return found


def only_named(parameter):
    return parameter["kind"] in ("KEYWORD_ONLY", "VAR_KEYWORD")


def test_all_names_are_where_they_were(peer):
    for module, names in peer["homes"].items():
        assert names, module
        for name in names:
            assert getattr(importlib.import_module(module), name) is getattr(l0, name)
