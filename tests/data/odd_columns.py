"""Columns that Arrow cannot hold, cannot take rows of, or cannot write as text, for any kind."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa


def _repeated(values, n):
    return [values[row % len(values)] for row in range(n)]


def pandas_columns(n):
    """Columns of a pandas frame of n rows, by name."""
    columns = {
        "huge": [2**70, 1, -(2**80)],
        "mixed": [1, "a", None],
        "mixed text": ["a", 1.5, None],
        "booleans": [True, 2, None],
        "nested": [[1], [2, 3], []],
        "ragged": [[1, [2]], ["a"], 3],
        "arrays": [np.ones((2, 2)), np.zeros((1, 2)), None],
        "bytes": [b"a", b"\xff", b""],
        "objects": [object(), Fraction(1, 3), {1}],
        "dictionaries": [{"a": 1}, {"b": 2}, {}],
        "dates and text": [pd.Timestamp("2020"), "x", 1],
        "surrogate": ["\ud800", "a", "b"],
    }
    made = {name: pd.Series(_repeated(values, n), dtype=object) for name, values in columns.items()}
    numbers = np.arange(n)
    return {
        **made,
        "complex": pd.Series(numbers + 1j),
        "long double": pd.Series(numbers.astype(np.longdouble)),
        "half": pd.Series(numbers.astype(np.float16)),
        "sparse": pd.Series(pd.arrays.SparseArray(numbers % 3 // 2)),
        "interval": pd.Series(pd.interval_range(0, n)),
        "cut": pd.Series(pd.cut(numbers, [-1, 1, n])),
        "period": pd.Series(pd.period_range("2020", periods=n, freq="M")),
        "duration": pd.Series(pd.to_timedelta(numbers, "s")),
        "category of huge": pd.Series(_repeated([2**70, 1], n), dtype=object).astype("category"),
        "category of tuples": pd.Series(pd.Categorical(_repeated([(1, 2), (3, 4)], n))),
    }


def polars_columns(n):
    """Columns of a polars frame of n rows, by name."""
    columns = {
        "objects": pl.Series(_repeated([object(), 1, "a"], n), dtype=pl.Object),
        "decimal": pl.Series(_repeated([Decimal("1.50"), Decimal("2.00")], n)),
        "struct": pl.Series(_repeated([{"a": 1, "b": "x"}, {"a": 2, "b": None}], n)),
        "list": pl.Series(_repeated([[1], [2, 3], []], n)),
        "array": pl.Series(_repeated([[1, 2], [3, 4]], n), dtype=pl.Array(pl.Int64, 2)),
        "bytes": pl.Series(_repeated([b"a", b"\xff"], n)),
        "duration": pl.Series(_repeated([dt.timedelta(1), None], n)),
        "nothing": pl.Series([None] * n),
    }
    if hasattr(pl, "Int128"):
        columns["huge"] = pl.Series(_repeated([2**70, 1], n), dtype=pl.Int128)
    return columns


def arrow_columns(n):
    """Columns of a pyarrow table of n rows, by name."""
    kinds = pa.array(_repeated([0, 1], n), pa.int8())
    numbers, texts = pa.array(range(n)), pa.array(_repeated(["a", "b", None], n))
    offsets = pa.array(range(n), pa.int32())
    columns = {
        "sparse union": pa.UnionArray.from_sparse(kinds, [numbers, texts]),
        "dense union": pa.UnionArray.from_dense(kinds, offsets, [numbers, texts]),
        "text view": texts.cast(pa.string_view()),
        "bytes view": pa.array(_repeated([b"a", b"\xff", None], n), pa.binary_view()),
        "views in lists": pa.array(_repeated([["a"], []], n), pa.list_(pa.string_view())),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1, n]), pa.array(["a", "b"])),
        "list view": pa.array(_repeated([[1], []], n), pa.list_view(pa.int64())),
        "map": pa.array(_repeated([[("a", 1)], []], n), pa.map_(pa.string(), pa.int64())),
        "extension": pa.ExtensionArray.from_storage(
            pa.bool8(), pa.array(_repeated([0, 1], n), pa.int8())
        ),
        "wide decimal": pa.array(_repeated([Decimal(1)], n), pa.decimal256(50, 2)),
        "nowhere": pa.array(range(n), pa.timestamp("s", "No/Where")),
        "nothing": pa.nulls(n),
    }
    if hasattr(pa, "decimal32"):
        columns["short decimal"] = pa.array(_repeated([Decimal(1)], n), pa.decimal32(5, 2))
    return columns


def odd(kind, frame):
    """Give a pandas frame as some kind, with the odd columns of this kind after its own."""
    n = len(frame)
    if kind == "pandas":
        return frame.assign(**pandas_columns(n))
    if kind == "polars":
        return pl.from_pandas(frame).with_columns(**polars_columns(n))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, values in arrow_columns(n).items():
        table = table.append_column(name, values)
    return table


NAMES = {
    "pandas": list(pandas_columns(3)),
    "polars": list(polars_columns(3)),
    "pyarrow": list(arrow_columns(3)),
}
EVERY_COLUMN = [(kind, name) for kind, names in NAMES.items() for name in names]


def cells(frame, name):
    """A column's cells as Python objects, whatever the kind of frame."""
    values = frame[name]
    if not isinstance(values, pa.ChunkedArray):
        return list(values)
    if pa.types.is_timestamp(values.type):  # Python has no clock for a zone that nobody knows
        values = values.cast(pa.int64())
    return values.to_pylist()
