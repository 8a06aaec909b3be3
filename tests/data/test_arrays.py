import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from l0.common.errors import InputError
from l0.data.arrays import as_columns, as_vector, positions, scale, shape, take_columns, take_rows
from tests.data import odd_columns

VALUES = np.arange(12.0).reshape(4, 3)
FRAME = pd.DataFrame(VALUES, columns=["a", "b", "c"], index=[7, 5, 7, 1])
KINDS = {
    "torch": torch.tensor(VALUES, dtype=torch.float32),
    "half": torch.tensor(VALUES, dtype=torch.bfloat16),
    "numpy": VALUES.astype(np.float32),
    "pandas": FRAME,
    "polars": pl.DataFrame(VALUES, schema=["a", "b", "c"]),
    "pyarrow": pa.table({name: FRAME[name].to_numpy() for name in "abc"}),
}
VECTORS = {
    "torch": torch.tensor([1.0, 2, 3, 4]),
    "numpy": np.array([1, 2, 3, 4], dtype=np.float32),
    "pandas": pd.Series([1.0, 2, 3, 4], index=[7, 5, 7, 1]),
    "polars": pl.Series("w", [1.0, 2, 3, 4]),
    "pyarrow": pa.chunked_array([[1.0, 2], [3, 4]]),
}
kinds = pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
vectors = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)


@kinds
def test_rows_and_columns_are_taken_by_position_in_kind(data):
    rows, columns = take_rows(data, np.array([1, 3])), take_columns(data, np.array([0, 2]))
    assert type(rows) is type(columns) is type(data)
    np.testing.assert_array_equal(as_columns(rows, "rows").values, VALUES[[1, 3]])
    np.testing.assert_array_equal(as_columns(columns, "columns").values, VALUES[:, [0, 2]])
    assert shape(data) == (4, 3)
    if isinstance(data, (torch.Tensor, np.ndarray)):
        assert rows.dtype == columns.dtype == data.dtype


def test_a_frame_keeps_its_index():
    assert take_rows(FRAME, np.array([1, 2])).index.tolist() == [5, 7]
    assert take_columns(FRAME, np.array([2])).index.equals(FRAME.index)


@pytest.mark.parametrize("kind", odd_columns.NAMES)
def test_rows_are_taken_of_columns_that_arrow_cannot_hold(kind):
    frame = odd_columns.odd(kind, FRAME.reset_index(drop=True))
    taken = take_rows(frame, np.array([1, 3]))
    for name in odd_columns.NAMES[kind]:
        of = odd_columns.cells(frame, name)
        assert repr(odd_columns.cells(taken, name)) == repr([of[1], of[3]])


def test_rows_are_taken_of_a_column_of_views():
    text = pa.chunked_array([["a", "b"], ["c"]], pa.string_view())
    assert take_rows(text, np.array([2, 0])).to_pylist() == ["c", "a"]


def test_columns_are_those_of_the_last_axis():
    data = torch.arange(24.0).reshape(2, 4, 3)
    torch.testing.assert_close(take_columns(data, np.array([1])), data[..., 1:2])
    assert as_columns(data, "data").values.shape == (2, 12)


def test_a_list_counts_as_an_array():
    assert take_rows([[1, 2], [3, 4]], np.array([1])).tolist() == [[3, 4]]


def test_positions_are_a_tensor_beside_a_tensor():
    assert positions(np.array([2]), KINDS["torch"]).dtype == torch.int64
    assert positions(np.array([2]), FRAME).dtype == np.int64


@vectors
def test_a_vector_is_scaled_in_kind(vector):
    scaled = scale(take_rows(vector, np.array([0, 2, 3])), np.array([1.0, 0.5, 2]))
    assert type(scaled) is type(vector)
    np.testing.assert_array_equal(as_vector(scaled, 3, "scaled"), [1, 1.5, 8])
    if not isinstance(vector, pa.ChunkedArray):
        assert scaled.dtype == vector.dtype


def test_whole_numbers_are_scaled_to_fractions():
    assert scale(np.array([1, 2]), np.array([0.5, 0.5])).tolist() == [0.5, 1.0]
    assert scale(torch.tensor([1, 2]), np.array([0.5, 0.5])).tolist() == [0.5, 1.0]


def test_scaling_keeps_the_gradient():
    weights = torch.ones(3, requires_grad=True)
    scale(take_rows(weights, np.array([0, 2])), np.array([2.0, 3.0])).sum().backward()
    assert weights.grad.tolist() == [2, 0, 3]


@pytest.mark.parametrize("convert", [lambda x: x, pl.from_pandas, pa.Table.from_pandas])
def test_labels_become_indicators(convert):
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "flag": [True, False, True],
            "text": ["b", "a", None],
            "kind": pd.Categorical(["y", "x", "y"]),
        }
    )
    columns = as_columns(convert(frame), "data")
    assert columns.names == ["n", "flag", "text=a", "text=b", "text=", "kind=x", "kind=y"]
    np.testing.assert_array_equal(
        columns.values, [[1, 1, 0, 1, 0, 0, 1], [2, 0, 1, 0, 0, 1, 0], [3, 1, 0, 0, 1, 0, 1]]
    )


@pytest.mark.parametrize(
    "text", [["b", "a"], np.array(["b", "a"]), np.array(["b", "a"], dtype=object)]
)
def test_text_in_an_array_of_one_axis_becomes_indicators(text):
    assert as_columns(text, "y").values.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([[1.0, np.nan], [np.inf, 2]]), "`data` is NaN or infinite .*'column 0', 'col"),
        (pd.DataFrame({"a": [1.0], "b": [np.nan]}), "`data` is NaN or infinite in .* 'b';"),
        (pl.DataFrame({"a": [[1], [2]]}), "`data` has the column 'a' of type .*leave it out"),
        (
            pd.DataFrame({"id": [f"r{i}" for i in range(51)]}),
            "`data` has the column 'id' with 51 levels.*encode it.*leave it out",
        ),
        (np.array([["a"]]), "`data` is an array of .*pass numbers, or a frame"),
        (torch.ones(2, dtype=torch.complex64), "`data` is an array of complex64"),
        (3.0, "`data` is an array of float64 with 0 axes"),
        (np.ones((0, 2)), "`data` is empty"),
        (np.ones((2, 0)), "`data` is empty"),
        (pd.DataFrame(index=range(3)), "`data` is empty"),
        (pl.DataFrame(), "`data` has no rows"),
        (
            [[1, 2], [3]],
            r"`data` cannot become an array \(.*inhomogeneous.*rows of the same length",
        ),
        (np.ma.array(VALUES, mask=VALUES == 4), "`data` is NaN or infinite in the .* 'column 1';"),
        (np.ma.array([1, 2], mask=[True, False]), "`data` is NaN or infinite in the columns 'col"),
        (
            pd.DataFrame({"a": [2**70]}),
            r"`data` has the column 'a' of type object \(.*leave it out",
        ),
        (np.array(["a", 1], dtype=object), "`data` has mixed or unknown types; .*one type"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "`data` has the columns 'a' more than once"),
        (pa.table([[1], [2]], names=["b", "b"]), "`data` has the columns 'b' more than once"),
    ],
)
def test_what_is_no_table_of_numbers_is_named(data, message):
    with pytest.raises(InputError, match=message):
        as_columns(data, "data")


def test_a_vector_of_another_shape_is_named():
    with pytest.raises(InputError, match=r"`weights` has shape \(2,\); pass 3 numbers"):
        as_vector([1.0, 2.0], 3, "weights")


def test_repeated_columns_are_named_as_the_caller_calls_the_frame():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"])
    for read in (lambda: as_columns(frame, "X"), lambda: shape(frame, "X")):
        with pytest.raises(InputError, match="`X` has the columns 'b' more than once; rename all"):
            read()


def test_a_masked_array_without_masked_cells_is_as_any_other():
    masked = np.ma.array(VALUES, mask=False)
    np.testing.assert_array_equal(as_columns(masked, "data").values, VALUES)
    assert type(as_columns(masked, "data").values) is np.ndarray
    assert as_columns(np.ma.array(["a", "b"], mask=[False, True]), "y").names == ["y=a", "y="]


@pytest.mark.parametrize(
    "text",
    [
        ["10", "20", "10"],
        np.array(["10", "20", "10"]),
        np.array(["10", "20", None], dtype=object),
        pd.Series(["10", "20", "10"]),
        pd.Series([10, 20, 10], dtype="category"),
        pl.Series(["10", "20", "10"]),
        pa.chunked_array([["10", "20", "10"]]),
        pd.Series(pd.to_datetime(["2020", "2021", "2020"])),
        [None, None, None],
    ],
)
def test_a_vector_is_numbers_and_never_indicators_of_text(text):
    with pytest.raises(InputError, match="`weights` has the type .*, not numbers; convert"):
        as_vector(text, 3, "weights")


def test_a_vector_may_be_true_or_false_or_objects_that_are_numbers():
    for values in (np.array([True, False]), pl.Series([True, False]), np.array([1, 0], object)):
        assert as_vector(values, 2, "weights").tolist() == [1, 0]
