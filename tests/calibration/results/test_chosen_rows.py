import numpy as np
import pyarrow as pa
import pytest

from l0.calibration.results.chosen_rows import check_same_rows, rows_by_key
from l0.common.errors import InputError

WEIGHTS = pa.table({"id": [3, 5], "weight": [1.5, 2.5], "design_weight": [1.0, 2.0]})


@pytest.mark.parametrize("keys", [[5, 4, 3, 5], ["5", "4", "3", "5"], [5.0, 4.5, 3.0, 5.0]])
def test_rows_are_found_by_key_of_any_type(keys):
    rows, of = rows_by_key(pa.table({"id": keys}), "id", WEIGHTS)
    assert (rows.tolist(), of.tolist()) == ([0, 2, 3], [1, 0, 1])


def test_a_table_without_a_chosen_record_is_refused():
    with pytest.raises(InputError, match=r"no row of a chosen record in 'id' \(int64; the result"):
        rows_by_key(pa.table({"id": [7]}), "id", WEIGHTS)


def test_without_a_key_the_table_and_its_order_must_be_the_same():
    table, rows = pa.table({"w": [9.0, 1.0, 2.0]}), np.array([1, 2])
    check_same_rows(table, {"weight": "w"}, 3, rows, WEIGHTS)
    check_same_rows(table.take([0, 2, 1]), {"weight": None}, 3, rows, WEIGHTS)
    with pytest.raises(InputError, match=r"in 2 rows \(1, 2\), and a result without a key needs"):
        check_same_rows(table.take([0, 2, 1]), {"weight": "w"}, 3, rows, WEIGHTS)
    with pytest.raises(InputError, match=r"has 2 rows, and .* needs the table of the 3 records"):
        check_same_rows(table.take([0, 1]), {"weight": "w"}, 3, rows, WEIGHTS)
