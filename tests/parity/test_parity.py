"""Weights beside those of R's package survey. README.md says where the files come from."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import l0

ROOT = Path(__file__).parent
SETTINGS = pd.read_csv(ROOT / "settings.csv", index_col="data")
METHODS = [
    "poststratify", "rake", "linear", "linear_bounded", "linear_limits", "raking",
    "raking_bounded", "logit",
]  # fmt: skip
CASES = [
    (data, method)
    for data in SETTINGS.index
    for method in METHODS
    if method != "rake" or pd.notna(SETTINGS.loc[data, "margins"])
]


class Inputs(NamedTuple):
    records: pd.DataFrame
    cells: pd.DataFrame
    totals: pd.DataFrame
    weights_of_r: pd.DataFrame


@cache
def read(data):
    names = ("records.csv.gz", "cells.csv", "totals.csv", "weights.csv.xz")
    return Inputs(*(pd.read_csv(ROOT / "data" / data / name) for name in names))


def targets_of(data, method):
    inputs = read(data)
    if method == "poststratify":
        return inputs.cells.rename(columns={"Freq": "value"}).assign(variable="count")
    if method == "rake":
        labels = SETTINGS.loc[data, "margins"].split()
        margins = [inputs.cells.groupby(label, as_index=False)["Freq"].sum() for label in labels]
        return pd.concat(margins).rename(columns={"Freq": "value"}).assign(variable="count")
    return inputs.totals


def options_of(data, method):
    bounds = tuple(SETTINGS.loc[data, ["low", "high"]])
    limits = tuple(SETTINGS.loc[data, ["trim_low", "trim_high"]])
    return {
        "linear": {"distance": "linear"},
        "linear_bounded": {"distance": "linear", "bounds": bounds},
        "linear_limits": {"distance": "linear", "weight_bounds": limits},
        "raking_bounded": {"distance": "raking", "bounds": bounds},
        "logit": {"distance": "logit", "bounds": bounds},
    }.get(method, {"distance": "raking"})


def calibrate(data, method):
    return l0.calibrate(
        read(data).records,
        targets_of(data, method),
        weight=SETTINGS.loc[data, "weight"],
        **options_of(data, method),
    )


def in_order(result):
    """The weights in the order of the records."""
    weights = np.empty(len(result.values))
    weights[result.indices] = result.values
    return weights


@pytest.mark.parametrize(("data", "method"), CASES)
def test_weights_are_those_of_r_and_meet_the_totals(data, method):
    result = calibrate(data, method)
    assert result.metrics["fit_status"] == "exact"
    np.testing.assert_allclose(in_order(result), read(data).weights_of_r[method], rtol=1e-6)
    fit = result.targets
    np.testing.assert_allclose(fit["estimate"], fit["value"], rtol=1e-9)


@pytest.mark.parametrize("data", SETTINGS.index)
def test_trimmed_weights_are_those_of_r_and_keep_their_sum(data):
    raked = calibrate(data, "raking")
    lower, upper = SETTINGS.loc[data, ["trim_low", "trim_high"]]
    trimmed = raked.trim(lower=lower, upper=upper)
    np.testing.assert_allclose(in_order(trimmed), read(data).weights_of_r["trimmed"], rtol=1e-6)
    np.testing.assert_allclose(trimmed.values.sum(), raked.values.sum(), rtol=1e-9)
