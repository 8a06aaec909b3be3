"""What an import of the gates loads, and what it leaves out."""

import subprocess
import sys

import pytest

import l0.gates

FIT = (
    "import sys; import numpy as np; from {package} import FeatureGate\n"
    "x = np.random.default_rng(0).normal(size=(50, 4))\n"
    "FeatureGate(4, 1).fit(x, x[:, 2], nonlinear={nonlinear}).select_features(x)\n"
    "print(*sorted(name for name in sys.modules if name.startswith(('l0.calibration', 'sklearn'))))"
)


@pytest.mark.parametrize(("package", "nonlinear"), [("l0", False), ("l0.gates", True)])
def test_a_feature_gate_needs_neither_calibration_nor_scikit_learn(package, nonlinear):
    program = FIT.format(package=package, nonlinear=nonlinear)
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not loaded.stdout.split()


def test_an_import_loads_no_gate():
    program = "import sys, l0.gates; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_names_are_those_of_the_stub():
    assert sorted(l0.gates.__all__) == ["FeatureGate", "HybridGate", "L0Gate", "SampleGate"]
    assert dir(l0.gates) == l0.gates.__all__
    for name in l0.gates.__all__:
        assert getattr(l0.gates, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="RowGate"):
        _ = l0.gates.RowGate
