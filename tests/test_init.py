"""The public names."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import l0


@pytest.mark.parametrize("name", l0.__all__)
def test_every_public_name_is_there(name):
    assert getattr(l0, name) is not None
    assert name in dir(l0)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="calibrat"):
        l0.calibrat  # noqa: B018


@pytest.mark.parametrize("name", ["calibration", "datasets", "gates", "linear_model", "networks"])
def test_rooms_are_there_without_an_import_of_their_own(name):
    code = f"import l0; assert l0.{name}.__name__ == 'l0.{name}'"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


OLD_MODULES = ["distributions", "hard_concrete", "layers", "penalties", "sparse", "temperature"]


@pytest.mark.parametrize("name", OLD_MODULES)
def test_modules_of_0_6_are_there_without_an_import_of_their_own(name):
    code = f"import l0; assert l0.{name}.__name__ == 'l0.{name}'"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert name not in l0.__all__  # a star import would hide scipy.sparse, for example


def test_the_version_is_that_of_the_distribution():
    assert l0.__version__ == version("l0-python")


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("import l0", ("torch", "scipy", "pyarrow", "pandas", "matplotlib")),
        ("from l0 import FeatureGate", ("l0.calibration",)),
        ("from l0.linear_model import L0Regressor", ("torch", "l0.gates", "l0.calibration")),
        ("from l0.calibration import options", ("torch",)),
    ],
)
def test_an_import_leaves_other_rooms_alone(statement, left_out):
    code = (
        f"{statement}; import sys;"
        f"loaded = [m for m in sys.modules if m.startswith({left_out!r})];"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
