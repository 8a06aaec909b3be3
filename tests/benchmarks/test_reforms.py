"""The errors of taxes and reforms, on small files: taxcalc itself is not needed."""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reforms():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        before = set(sys.modules)
        yield importlib.import_module("reforms")
        for name in set(sys.modules) - before:
            if str(ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture
def totals(reforms):
    """Totals of a constant by nation and by areas of 300, 100 and 60 units; the last is too small.

    The second amount has one unit that is nearly all of it, in the first area.
    """
    area = np.repeat([0, 1, 2], [300, 100, 60])
    skewed = np.where(area == 1, 1.0, 0.0)
    skewed[0] = 1e6
    amounts = {"even": np.full(460, -2.0), "skewed": skewed}
    return reforms.Totals.of(amounts, [np.zeros(460, dtype=np.int64), area], np.ones(460))


def test_cells_of_few_records_in_effect_are_left_out(totals):
    np.testing.assert_array_equal(totals.counts(), [[1, 2], [0, 1]])
    np.testing.assert_array_equal(totals.full_file, [-920.0, -600.0, -200.0, 100.0])


def test_the_error_is_the_mean_over_levels_of_the_mean_over_their_cells(totals):
    weights = np.ones(460)
    weights[:300] = 1.1
    # The nation is off by 30 of 460. The areas are off by 10% and by nothing.
    np.testing.assert_allclose(totals.errors(weights), [(30 / 460 + 0.05) / 2, 0.0])


def test_no_cell_counts_more_than_its_total(totals):
    np.testing.assert_allclose(totals.errors(np.full(460, 9.0)), [1.0, 1.0])
    np.testing.assert_allclose(totals.errors(np.zeros(460)), [1.0, 1.0])


def test_the_full_file_has_no_error(totals):
    np.testing.assert_array_equal(totals.errors(np.ones(460)), [0.0, 0.0])


def write_taxes(file, units):
    """Write two quantities, of which the EITC is no revenue, for a law and a reform."""
    baseline = np.array([units, 10.0 * units, 100.0 * units])
    reform = baseline + np.array([units, -0.5 * units, 7.0 * units])
    np.savez(
        file,
        units=units,
        laws=["current law", "a reform"],
        quantities=["income tax", "payroll tax", "EITC"],
        amounts=np.stack([baseline, reform]),
    )


def test_taxes_are_matched_by_the_number_of_the_unit(reforms, tmp_path):
    file = tmp_path / "taxes.npz"
    write_taxes(file, np.array([7, 3, 9, 5]))
    taxes = reforms.read_taxes(file, np.array([9, 3, 7]))
    assert list(taxes["baseline taxes"]) == ["income tax", "payroll tax", "EITC"]
    np.testing.assert_array_equal(taxes["baseline taxes"]["EITC"], [900, 300, 700])
    # Revenue is income tax plus payroll tax: it changes by 1 - 0.5 a unit.
    np.testing.assert_array_equal(taxes["reforms"]["a reform"], [4.5, 1.5, 3.5])


@pytest.mark.parametrize("unknown", [4, 10, 0])
def test_a_unit_without_taxes_is_an_error(reforms, tmp_path, unknown):
    file = tmp_path / "taxes.npz"
    write_taxes(file, np.array([7, 3, 9, 5]))
    with pytest.raises(ValueError, match="1 units have no taxes"):
        reforms.read_taxes(file, np.array([7, unknown]))


def test_labels_are_numbered(reforms):
    labels = pa.chunked_array(
        [pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", "c"]).dictionary_encode()]
    )
    codes = reforms.codes_of(labels)
    assert codes[1] == codes[2]
    assert len(set(codes)) == 3


def test_a_method_may_have_options(reforms):
    plain = reforms.read_method("pps")
    assert (plain.name, plain.selector, plain.options) == ("pps", "pps", {})
    text = 'hybrid {"distance": "linear"}'
    varied = reforms.read_method(text)
    assert (varied.name, varied.selector) == (text, "hybrid")
    assert varied.options == {"distance": "linear"}


@pytest.mark.parametrize("text", ["hibrid", "hybrid {", "hybrid [1]", "hybrid 3"])
def test_an_unreadable_method_is_an_error(reforms, text):
    with pytest.raises(argparse.ArgumentTypeError):
        reforms.read_method(text)
