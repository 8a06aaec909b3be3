"""Where the examples in docstrings run."""

import pytest


@pytest.fixture(autouse=True)
def _examples_write_into_an_empty_folder(request, tmp_path_factory, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path_factory.mktemp("example"))
