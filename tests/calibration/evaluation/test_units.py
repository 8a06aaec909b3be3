import numpy as np
import pyarrow as pa
import pytest

from l0.calibration.evaluation.units import NO_LEVEL, Measure, Units
from l0.calibration.inputs.column_types import Labels

N_RECORDS = 40


def units(seed=0, n_units=200, entity="person", record=None):
    """Units with two label columns and two amounts, one of which is often 0 or unknown."""
    generator = np.random.default_rng(seed)
    income = generator.lognormal(0, 1, n_units)
    rent = generator.choice([0.0, 1.5, -2.0, np.nan], n_units)
    codes = generator.integers(0, [[3], [4]], (2, n_units))
    return Units(
        entity,
        generator.integers(0, N_RECORDS, n_units) if record is None else record,
        pa.table({"income": income, "rent": rent}),
        [
            Labels("age", codes[0], ["child", "adult", ""]),
            Labels("band", codes[1], ["a", "b", "c", ""]),
        ],
        ["income", "rent"],
        np.arange(n_units),
    )


def shuffled(of, seed=1):
    order = np.random.default_rng(seed).permutation(of.size)
    labels = [Labels(one.name, one.codes[order], one.levels) for one in of.labels]
    return Units(
        of.entity, of.record[order], of.table.take(order), labels, of.amounts, of.order[order]
    )


def weights_of_records():
    return np.random.default_rng(2).uniform(1, 3, N_RECORDS)


@pytest.mark.parametrize("n_labels", [0, 1, 2])
def test_rows_times_weights_are_the_totals(n_labels):
    of, weights = units(), weights_of_records()
    columns = of.labels[:n_labels]
    cells = of.cells(columns)
    for measure in of.measures:
        rows = of.rows(cells, measure, np.arange(cells.size), N_RECORDS)
        numbers = np.ones(of.size) if measure.name == "count" else of.table[measure.name].to_numpy()
        by_hand = np.zeros(cells.size)
        for unit in range(of.size):
            code = 0
            for column in columns:
                code = code * len(column.levels) + column.codes[unit]
            by_hand[code] += weights[of.record[unit]] * np.nan_to_num(numbers[unit])
        np.testing.assert_allclose(rows @ weights, by_hand, rtol=1e-12, atol=1e-12)


def test_rows_are_made_of_the_cells_asked_for_alone():
    of, weights = units(), weights_of_records()
    cells, measure = of.cells(of.labels), of.measures[1]
    every = of.rows(cells, measure, np.arange(cells.size), N_RECORDS) @ weights
    some = of.rows(cells, measure, np.array([1, 6, 10]), N_RECORDS)
    assert some.shape == (3, N_RECORDS)
    np.testing.assert_array_equal(some @ weights, every[[1, 6, 10]])
    assert of.rows(cells, measure, np.array([], dtype=int), N_RECORDS).shape == (0, N_RECORDS)


def test_units_of_records_are_the_records_themselves():
    of = units(n_units=N_RECORDS, entity="", record=np.arange(N_RECORDS))
    weights = weights_of_records()
    assert of.spread(weights) is weights
    rows = of.rows(of.cells([]), of.measures[0], np.array([0]), N_RECORDS)
    np.testing.assert_array_equal(rows.toarray(), np.ones((1, N_RECORDS)))


def test_a_member_has_the_weight_of_its_record():
    of, weights = units(), weights_of_records()
    np.testing.assert_array_equal(of.spread(weights), [weights[record] for record in of.record])


def test_sums_do_not_depend_on_the_order_of_units():
    of, weights = units(), weights_of_records()
    first, second = of.in_order(), shuffled(of).in_order()
    for one, other in zip(first.measures, second.measures, strict=True):
        np.testing.assert_array_equal(one.places, other.places)
        np.testing.assert_array_equal(one.values, other.values)
        for columns in ([], first.labels[:1], first.labels):
            kept = np.arange(first.cells(columns).size)
            same = second.labels[: len(columns)]
            np.testing.assert_array_equal(
                first.rows(first.cells(columns), one, kept, N_RECORDS) @ weights,
                second.rows(second.cells(same), other, kept, N_RECORDS) @ weights,
            )


def test_the_order_leads_back_to_the_table():
    of = units()
    sorted_units = of.in_order()
    np.testing.assert_array_equal(of.record[sorted_units.order], sorted_units.record)
    assert (
        of.table.take(sorted_units.order)
        .column("income")
        .equals(sorted_units.table.column("income"))
    )


def test_a_measure_holds_the_known_numbers_other_than_0():
    of = units()
    count, income, rent = of.measures
    assert [one.name for one in of.measures] == ["count", "income", "rent"]
    assert len(count.places) == len(income.places) == of.size
    assert set(rent.values) == {1.5, -2.0}
    np.testing.assert_array_equal(of.table["rent"].to_numpy()[rent.places], rent.values)


def test_a_part_of_a_measure_counts_its_units():
    measure = Measure("income", np.array([2, 5, 9]), np.array([3.0, 7.0, 1.0]))
    part = measure.part(measure.values < 5)
    assert part.name == "income"
    np.testing.assert_array_equal(part.places, [2, 9])
    np.testing.assert_array_equal(part.values, [1, 1])


def test_cells_know_their_labels():
    of = units()
    cells = of.cells(of.labels)
    assert cells.by == "age, band"
    assert cells.size == 12
    for unit in range(20):
        (labels,) = cells.labels(cells.codes[[unit]])
        assert labels == [
            (column.name, column.levels[column.codes[unit]] or NO_LEVEL) for column in of.labels
        ]
    whole = of.cells([])
    assert (whole.by, whole.size, whole.labels(np.array([0]))) == ("", 1, [[]])
