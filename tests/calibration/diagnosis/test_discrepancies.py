import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
from l0.calibration.diagnosis.discrepancies import discrepancies, suspects

N, CELLS = 2_000, 20


def problem(factors):
    """An amount by 20 cells, with values that are these factors times the survey's own."""
    rng = np.random.default_rng(0)
    A = sp.csr_array((rng.lognormal(3, 0.5, N), (np.arange(N) % CELLS, np.arange(N))))
    weights = rng.uniform(50, 150, N)
    names = [f"cell {cell:02}" for cell in range(CELLS)]
    return CalibrationProblem.from_matrix(A, A @ weights * factors, weights, names=names)


def found(of):
    return list(discrepancies(of, np.ones(of.n_targets, dtype=bool)))


def test_values_near_the_survey_are_no_finding():
    factors = np.random.default_rng(1).uniform(0.8, 1.25, CELLS)
    assert found(problem(factors)) == []


@pytest.mark.parametrize("factor", [6, 1 / 6])
@pytest.mark.parametrize("level", [1.0, 3.0])
def test_a_spoilt_value_is_named_whatever_the_level(factor, level):
    factors = level * np.random.default_rng(1).uniform(0.9, 1.1, CELLS)
    factors[[3, 8]] *= factor
    findings = found(problem(factors))
    suspect = findings[-1]
    assert suspect.about == "suspect values" and suspect.count == 2
    assert set(suspect.names) == {"cell 03", "cell 08"}
    assert [finding.about for finding in findings[:-1]] == ["measured otherwise"] * (level > 1)


def test_a_variable_that_the_survey_measures_otherwise():
    (finding,) = found(problem(np.full(CELLS, 1.7)))
    assert finding.about == "measured otherwise"
    assert "'row of the matrix' are 1.7 times the design-weighted estimates" in finding.what
    assert finding.count == CELLS and len(finding.names) == 5


def test_a_cell_of_one_record_varies_by_chance():
    A = np.zeros((2, 400))
    A[0], A[1, 0] = 1, 1
    weights = np.full(400, 100.0)
    of = CalibrationProblem.from_matrix(A, [40_000, 1_000], weights)
    assert found(of) == []
    (finding,) = found(CalibrationProblem.from_matrix(A, [40_000, 50_000], weights))
    assert finding.names == ("target 1",)
    assert "target 1: 500 times" in finding.what


def test_a_level_that_a_small_sample_has_by_chance_is_no_finding():
    """Population totals, and samples of 200: no level is measured otherwise."""
    rng = np.random.default_rng(0)
    size, n = 20_000, 200
    amounts = (rng.random((1, size)) < 0.05) * rng.lognormal(8, 1, size)
    levels = []
    for _ in range(20):
        chosen = rng.choice(size, n, replace=False)
        of = CalibrationProblem.from_matrix(
            amounts[:, chosen], amounts.sum(axis=1), np.full(n, size / n)
        )
        levels += [finding for finding in found(of) if finding.about == "measured otherwise"]
    assert len(levels) <= 1


def test_what_all_targets_of_a_label_share_is_no_fault_of_one():
    """One age band is five times the survey's in each state, and one cell is spoilt."""
    rng = np.random.default_rng(2)
    n, states, ages = 4_000, list("ABCDEFGH"), ["0-4", "5-9", "10-14", "15-19", "20-24", "25+"]
    homes = pa.table(
        {"state": rng.choice(states, n), "age": rng.choice(ages, n), "w": np.full(n, 10.0)}
    )
    state, age, weight = (np.array(homes.column(name)) for name in homes.column_names)
    rows = []
    for place in states:
        for band in ages:
            own = weight[(state == place) & (age == band)].sum()
            times = (5 if band == "25+" else 1) * (6 if (place, band) == ("C", "5-9") else 1)
            rows.append({"variable": "count", "state": place, "age": band, "value": own * times})
    of = CalibrationProblem.from_frames(homes, pa.Table.from_pylist(rows), weight="w")
    times = suspects(of, np.ones(of.n_targets, dtype=bool))
    (row,) = np.flatnonzero(~np.isnan(times))
    assert of.names[row] == "count by state=C, age=5-9"
    assert times[row] == pytest.approx(6, rel=0.2)
