import pyarrow as pa
import pytest

from l0.calibration.variance.domains import find_domains
from l0.common.errors import InputError

TABLE = pa.table(
    {
        "state": pa.array(["VT", "NY", None, "VT", "NY"]).dictionary_encode(),
        "size": [10, 2, 2, 2, 10],
        "year": [2020.0, 2021.0, float("nan"), 2020.0, 2021.0],
        "list": [[1], [2], [3], [4], [5]],
    }
)


def test_without_columns_all_rows_are_one_domain():
    domains = find_domains(TABLE, [])
    assert domains.size == 1
    assert domains.codes.tolist() == [0] * 5
    assert domains.within([]).tolist() == [0]


def test_numbers_are_in_the_order_of_numbers_and_nulls_come_last():
    (sizes,) = find_domains(TABLE, ["size"]).columns
    assert sizes.to_pylist() == [2, 10]
    (states,) = find_domains(TABLE, ["state"]).columns
    assert states.to_pylist() == ["NY", "VT", None]
    (years,) = find_domains(TABLE, ["year"]).columns
    assert years.to_pylist() == [2020.0, 2021.0, None]


def test_larger_domains_keep_some_of_the_labels():
    domains = find_domains(TABLE, ["state", "size"])
    states, sizes = (column.to_pylist() for column in domains.columns)
    assert list(zip(states, sizes, strict=True)) == [
        ("NY", 2), ("NY", 10), ("VT", 2), ("VT", 10), (None, 2),
    ]  # fmt: skip
    assert domains.within(["state"]).tolist() == [0, 0, 1, 1, 2]
    assert domains.within(["size"]).tolist() == [0, 1, 0, 1, 0]
    assert domains.named(3) == "state VT, size 10"


def test_many_columns_do_not_overflow():
    wide = pa.table({f"c{place}": list(range(1000)) for place in range(30)})
    domains = find_domains(wide, wide.column_names)
    assert domains.codes.tolist() == list(range(1000))


def test_what_is_no_label_is_named():
    with pytest.raises(InputError, match="`by` names the column 'stat', which .* closest: 'state'"):
        find_domains(TABLE, ["stat"])
    with pytest.raises(InputError, match="`by` names the column 'list', which is list"):
        find_domains(TABLE, ["list"])
