import importlib.util

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.linear_model import L0Regressor
from l0.linear_model.frames import feature_names, for_each_outcome, frame
from tests.linear_model.problems import planted


def test_the_kind_is_pandas_where_it_is_installed(monkeypatch):
    assert isinstance(frame({"a": np.arange(2)}, None), pd.DataFrame)
    assert isinstance(frame({"a": [1, 2]}, "pyarrow"), pa.Table)
    monkeypatch.setattr("l0.linear_model.frames.find_spec", lambda name: None)
    assert isinstance(frame({"a": ["b"]}, None), pa.Table)
    assert importlib.util.find_spec("pandas")
    with pytest.raises(InputError, match="`kind` is 'numpy'; pass one of 'pandas', 'polars'"):
        frame({}, "numpy")


def test_columns_without_names_are_named_by_position():
    x, y, _ = planted(0)
    named = L0Regressor(2).fit(pd.DataFrame(x).rename(columns="x{}".format), y)
    assert list(feature_names(L0Regressor(2).fit(x, y)))[:2] == [0, 1]
    assert feature_names(named)[:2] == ["x0", "x1"]


def test_columns_are_repeated_for_each_outcome():
    found = for_each_outcome({"feature": ["a", "b"], "kept": [True, False]}, ["x", "y"])
    assert list(found["feature"]) == ["a", "b", "a", "b"]
    assert list(found["kept"]) == [True, False, True, False]
    assert list(found["outcome"]) == ["x", "x", "y", "y"]
    assert for_each_outcome({"feature": []}, ["x", "y"])["feature"] == []
