import pyarrow as pa

from l0.calibration.results.summary import HEADLINES, frontier_rows, result_rows, worst_rows
from tests.calibration import problems


def test_the_design_weights_stand_beside_the_result():
    problem = problems.problem()
    result = problem.solve(30, "random", epochs=4)
    head, rows = result_rows(result.metrics, result.tables["targets"])
    assert head == ("", "Design weights", "Calibrated")
    assert [row[0] for row in rows] == [title for title, _ in HEADLINES.values()]
    assert rows[0] == ("Records", "300", "30")
    assert ("Mean untargeted error*", "", "not known") in rows  # a bare matrix says nothing of it


def test_a_frontier_has_a_row_a_budget():
    head, rows = frontier_rows([{"n_records": 5_000, "loss": 0.1}, {"n_records": 10, "loss": 1}])
    assert head[:2] == ["Records", "Mean error on targets"]
    assert [row[0] for row in rows] == ["5,000", "10"]


def test_the_worst_are_listed_first_and_those_met_or_out_of_reach_are_not():
    targets = pa.table(
        {
            "name": ["met", "a", "b", "gone", "c"],
            "value": [1.0] * 5,
            "estimate": [1.0, 1.1, 0.5, 0.0, 3.0],
            "relative_error": [0.0, 0.1, -0.5, -1.0, 2.0],
            "status": ["met", "missed", "missed", "unreachable", "missed"],
        }
    )
    assert [row[0] for row in worst_rows(targets)[1]] == ["c", "b", "a"]
