"""The public names."""

import subprocess
import sys

import pytest

import l0


@pytest.mark.parametrize("name", l0.__all__)
def test_every_public_name_is_there(name):
    assert getattr(l0, name) is not None
    assert name in dir(l0)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'calibrat'"):
        l0.calibrat  # noqa: B018


def test_import_leaves_the_heavy_parts_for_later():
    code = (
        "import l0, sys;"
        "heavy = {'torch', 'scipy', 'pyarrow', 'pandas', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
