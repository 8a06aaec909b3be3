"""Which names the package has, and what its import loads."""

import subprocess
import sys

import pytest

import l0.linear_model


def test_scikit_learn_is_asked_for_by_name():
    code = (
        "import sys; import l0.linear_model; assert 'sklearn' not in sys.modules;"
        "sys.modules['sklearn'] = None\n"
        "try: l0.linear_model.L0Regressor\n"
        "except ImportError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install scikit-learn" in said.stdout
    assert set(dir(l0.linear_model)) >= {"L0Regressor", "L0Classifier", "L0Selector"}
    with pytest.raises(AttributeError, match="L0Ranker"):
        _ = l0.linear_model.L0Ranker


def test_an_estimator_does_not_load_torch():
    code = (
        "import sys; import numpy as np; from l0.linear_model import L0Regressor\n"
        "x = np.random.default_rng(0).normal(size=(50, 4))\n"
        "L0Regressor(1).fit(x, x[:, 2]).predict(x)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_missing_module_is_not_blamed_on_scikit_learn():
    code = (
        "import sys; import l0.linear_model; sys.modules['scipy'] = None\n"
        "try: l0.linear_model.L0Regressor\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip().partition(".")[0] == "scipy"
