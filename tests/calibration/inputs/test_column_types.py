import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.inputs.column_types import INTEGER_LEVELS, TEXT_LEVELS, classify
from l0.calibration.inputs.survey import read_survey

N = TEXT_LEVELS + 1
PLACES = np.arange(N)


def column_types(used_as_labels=(), **columns):
    table = pa.table({"id": PLACES, "weight": np.ones(N), **columns})
    found = classify(read_survey(table, key="id", weight="weight"), set(used_as_labels))
    return {column.name: column for column in found.labels}, found.amounts


@pytest.mark.parametrize(
    "values",
    [
        pa.array([f"{place % TEXT_LEVELS}" for place in PLACES]),
        pa.array(["a" if place % 2 else "b" for place in PLACES]).dictionary_encode(),
        pa.array([1 if place % 2 else 2 for place in PLACES]).dictionary_encode(),
        pa.array(PLACES % 2 == 0),
        pa.array(PLACES % INTEGER_LEVELS),
        pa.array([dt.date(2020, 1, 1 + place % 2) for place in PLACES.tolist()]),
        pa.array([None if place % 2 else "a" for place in PLACES]),
    ],
)
def test_labels(values):
    labels, amounts = column_types(x=values)
    assert list(labels) == ["x"]
    assert amounts == []


@pytest.mark.parametrize(
    "values",
    [
        pa.array(PLACES % (INTEGER_LEVELS + 1)),
        pa.array(PLACES % 2, pa.float32()),
        pa.array(PLACES * 1.0),
        pa.array(PLACES * 2),
        pa.array([0, *PLACES[:-1].tolist()]),
        pa.array([None, *PLACES[1:].tolist()]),
        pa.array([decimal.Decimal(place) for place in PLACES.tolist()]),
        pa.array([np.nan, None] + [1.0] * (N - 2)),
    ],
)
def test_amounts(values):
    labels, amounts = column_types(x=values)
    assert labels == {}
    assert amounts == ["x"]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([f"{place}" for place in PLACES]),
        pa.array(["only"] * N),
        pa.nulls(N),
        pa.array([[1]] * N),
        pa.array([{"a": 1}] * N),
        pa.array([b"\xff"] * N),
        pa.array([dt.timedelta(1)] * N),
        pa.array(PLACES),
        pa.array(np.random.default_rng(0).permutation(N).astype(np.uint64) + 2**63),
    ],
)
def test_neither(values):
    assert column_types(x=values) == ({}, [])


def test_what_a_target_uses_as_a_label_is_one():
    labels, amounts = column_types({"x", "name"}, x=PLACES, name=[f"{place}" for place in PLACES])
    assert len(labels["x"].levels) == len(labels["name"].levels) == N
    assert amounts == []


def test_an_amount_named_count_would_read_like_a_count_of_records():
    assert column_types(count=PLACES * 1.5) == ({}, [])


@given(st.lists(st.sampled_from(["b", "a", "", None]), min_size=2, max_size=8))
def test_codes_are_alphabetical_and_nulls_come_last(texts):
    (found,) = classify(read_survey(pa.table({"x": [*texts, "z", None]})), set()).labels
    assert found.levels == [*sorted({text for text in texts if text} | {"z"}), ""]
    assert [found.levels[code] for code in found.codes] == [text or "" for text in texts] + [
        "z",
        "",
    ]


@pytest.mark.parametrize("name", ["", " ", "Unnamed: 0", "Unnamed: 0.1"])
def test_a_column_without_a_name_is_neither(name):
    assert column_types(**{name: PLACES % 2}) == ({}, [])
    assert column_types(**{name: PLACES * 1.5}) == ({}, [])
