import pyarrow as pa
import pytest

from l0.calibration.results.summary import (
    HEADLINES,
    certificate,
    dearest_rows,
    frontier_notes,
    frontier_rows,
    known_amount,
    price,
    result_rows,
    stated,
    worst_rows,
)
from l0.common.formatting import percent
from tests.calibration import problems


def test_the_design_weights_stand_beside_the_result():
    problem = problems.problem()
    result = problem.solve(30, "random", epochs=4)
    head, rows = result_rows(result.metrics, result.tables["targets"])
    assert head == ("", "Design weights", "Calibrated")
    titles = [title for title, _ in HEADLINES.values()]
    titles.remove("Mean error of represented totals")  # there are no soft targets
    titles.remove("Mean error on held-out targets")
    assert [row[0] for row in rows] == titles
    assert rows[0] == ("Records", "300", "30")
    assert ("Mean untargeted error*", "", "not known") in rows  # a bare matrix says nothing of it


def test_represented_totals_have_a_row_where_the_fit_was_trained_on_them():
    result = problems.problem().solve(30, "random", epochs=4)
    metrics = {**result.metrics, "represented_capped_error": 0.004}
    rows = result_rows(metrics, result.tables["targets"])[1]
    assert ("Mean error of represented totals", "", "0.4%") in rows


def test_held_out_targets_have_a_row_of_their_own():
    result = problems.problem().solve(30, "random", epochs=4, holdout="t00*")
    rows = {row[0]: row[1:] for row in result_rows(result.metrics, result.tables["targets"])[1]}
    error = result.targets.to_pandas()["design_relative_error"].abs()
    found = percent(result.metrics["holdout_capped_error"])
    assert rows["Mean error on held-out targets"] == (percent(error[:10].mean()), found)
    assert rows["Mean error on targets"][0] == percent(error[10:].mean())


def test_a_frontier_has_a_row_a_budget():
    head, rows = frontier_rows([{"n_records": 5_000, "loss": 0.1}, {"n_records": 10, "loss": 1}])
    assert head[:2] == ["Records", "Mean error on targets"]
    assert [row[0] for row in rows] == ["5,000", "10"]


def test_a_note_on_a_frontier_names_its_budgets_and_stands_once():
    notes = {10: ["a", "c"], 5_000: ["a", "b"], 400: ["b", "a"]}
    assert frontier_notes(notes, 3) == [
        "All budgets: a", "5,000 and 400 records: b", "10 records: c",
    ]  # fmt: skip
    assert frontier_notes({10: ["a"]}, 1) == ["10 records: a"]


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


def test_the_dearest_are_listed_by_the_size_of_their_price_and_those_without_one_are_not():
    targets = pa.table(
        {
            "name": ["a", "b", "free", "c"],
            "value": [1.0] * 4,
            "relative_error": [0.0, 0.1, 0.0, 0.0],
            "shadow_price": [1e-5, -0.02, 0.0, 0.003],
            "at_limit": [False, True, False, False],
        }
    )
    head, rows = dearest_rows(targets)
    assert head == ("Dearest targets", "Value", "Error", "Shadow price", "Gives way")
    assert rows == [
        ("b", "1", "+10%", "−0.02", "yes"),
        ("c", "1", "0%", "+0.003", "no"),
        ("a", "1", "0%", "+1e-05", "no"),
    ]


def test_of_equal_prices_those_with_the_largest_errors_come_first():
    targets = pa.table(
        {
            "name": ["a", "b", "c"],
            "value": [1.0] * 3,
            "relative_error": [0.0, -0.5, 0.1],
            "shadow_price": [-1.0001e-3, 1e-3, 1.0002e-3],
            "at_limit": [True] * 3,
        }
    )
    assert [row[0] for row in dearest_rows(targets)[1]] == ["b", "c", "a"]


def test_an_exact_fit_with_soft_targets_is_not_said_to_be_the_closest():
    metrics = {"fit_status": "exact", "gap": 1e-4, "represented_capped_error": 0.01}
    assert certificate(metrics) == (
        "All targets are met exactly. Soft targets are as close as that allows."
    )


def test_a_price_has_a_sign():
    assert [price(number) for number in (0.0123, -0.0123, -1.5e-7)] == [
        "+0.012",
        "−0.012",
        "−1.5e-07",
    ]


@pytest.mark.parametrize(
    ("status", "gap", "text"),
    [
        ("exact", 1e-12, "All targets are met exactly, by the closest weights."),
        ("optimal", 3e-4, "The fit is certified within 0.03% of the best possible one."),
        (
            "stopped",
            0.12,
            "The fit was stopped. It is certainly within 12% of the best possible one.",
        ),
        (
            "rounded",
            3e-4,
            "The weights were rounded to whole numbers. The fit was within 0.03% of the best "
            "possible one.",
        ),
    ],
)
def test_the_certificate_is_a_sentence(status, gap, text):
    assert certificate({"fit_status": status, "gap": gap}) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"value": 0.25, "at_least": None, "at_most": None}, "0.25"),
        ({"value": None, "at_least": None, "at_most": 20_000.0}, "at most 20,000"),
        ({"value": None, "at_least": 1.0, "at_most": 2e9}, "1 to 2 billion"),
    ],
)
def test_limits_are_written_in_place_of_a_value(row, text):
    assert stated(row) == text


def test_a_missing_estimate_is_none():
    assert known_amount(None) == "none"
    assert known_amount(5545.0) == "5,545"
