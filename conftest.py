"""Where the examples in docstrings run, and how long a generated example may take."""

import pytest
from hypothesis import settings

settings.register_profile("l0", deadline=None)  # no test is timed: machines are busy at times
settings.load_profile("l0")


@pytest.fixture(autouse=True)
def _examples_write_into_an_empty_folder(request, tmp_path_factory, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path_factory.mktemp("example"))
