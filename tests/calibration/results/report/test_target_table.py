import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import l0
from l0.calibration import CalibrationProblem
from l0.calibration.results.report.report import render
from l0.calibration.results.report.target_table import FLAGS, target_table, worse_than_before
from tests.calibration.results.report.browser import words


def errors(before, after):
    return pa.table({"design_relative_error": before, "relative_error": after})


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [(0.0, 0.5, 1), (-0.1, 0.5, 1), (0.5, -0.4, 0), (0.5, 0.5, 0), (0.0, 0.009, 0), (-2.0, 2.1, 1)],
)
def test_a_target_is_worse_by_more_than_what_counts_as_met(before, after, worse):
    assert worse_than_before(errors([before], [after])).tolist() == [worse]


def test_every_target_is_there_with_its_flags_and_limits():
    A = np.array([[1.0, 1, 1, 1], [0, 0, 1, 1]])
    solved = CalibrationProblem.from_matrix(A, [60, 20], np.full(4, 10.0), ["all", "some"]).solve(
        2, "random"
    )
    table = solved.tables["targets"]
    place = table.column_names.index("at_limit")
    table = table.set_column(place, "at_limit", pa.array([False, True]))
    table = table.set_column(1, "value", pa.array([60.0, None]))
    table = table.append_column("at_least", pa.array([None, 5.0]))
    table = table.append_column("at_most", pa.array([None, None], pa.float64()))
    found = target_table(table)
    columns = {column.key: column for column in found.columns}
    assert found.n == 2 and columns["name"].values == ["all", "some"]
    assert columns["flags"].marks(1)[-1] == FLAGS[1] and FLAGS[1] not in columns["flags"].marks(0)
    assert columns["value"].text(1) == "at least 5"
    assert "standard_error" not in columns
    found = target_table(table.append_column("standard_error", pa.array([1.5, None])))
    (column,) = [column for column in found.columns if column.key == "standard_error"]
    assert [column.text(row) for row in (0, 1)] == ["1.5", "none"]


def test_a_suspect_target_is_flagged_with_how_many_times():
    A = np.array([[1.0, 1, 1, 1], [0, 0, 1, 1]])
    solved = CalibrationProblem.from_matrix(A, [60, 20], np.full(4, 10.0), ["all", "some"]).solve(
        2, "random"
    )
    table = solved.tables["targets"]
    place = table.column_names.index("suspect_factor")
    for factors in ([None, None], None):  # nobody is suspect, or the result is an old one
        without = table.drop_columns(["suspect_factor"])
        if factors:
            without = without.append_column("suspect_factor", pa.array(factors, pa.float64()))
        columns = {column.key: column for column in target_table(without).columns}
        assert "suspect_factor" not in columns
        assert FLAGS[2] not in columns["flags"].marks(0) + columns["flags"].marks(1)
    table = table.set_column(place, "suspect_factor", pa.array([None, 6.123]))
    columns = {column.key: column for column in target_table(table).columns}
    assert FLAGS[2] in columns["flags"].marks(1) and FLAGS[2] not in columns["flags"].marks(0)
    assert columns["suspect_factor"].text(0) == ""
    assert columns["suspect_factor"].text(1) == "6.123 times what similar targets say"


def test_the_text_counts_the_flags_of_the_table_those_of_held_out_targets_too():
    rng = np.random.default_rng(0)
    homes = pd.DataFrame({"w": rng.uniform(5, 15, 300), "g": rng.choice(list("abcdef"), 300)})
    totals = homes.groupby("g")["w"].sum()
    targets = pd.DataFrame({"variable": "count", "g": totals.index, "value": totals.values * 1.01})
    result = l0.calibrate(
        homes, targets, weight="w", n_records=20, method="random", holdout=["*g=a", "*g=b"]
    )
    table = result.tables["targets"]
    worse = worse_than_before(table)
    held = [status == "held out" for status in table.column("status").to_pylist()]
    n, n_held = int(worse.sum()), int(worse[held].sum())
    assert n_held
    text = words(render(result.metrics, result.run, result.tables))
    were = "was" if n_held == 1 else "were"
    assert f"{n} target" in text and f", {n_held} of which {were} held out; the table" in text
