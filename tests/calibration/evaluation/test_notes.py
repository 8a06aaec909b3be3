from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from l0.calibration.evaluation.metrics import fit_metrics
from l0.calibration.evaluation.notes import (
    REMEDIES,
    constraints_note,
    missing_codes,
    notes,
    rounding_notes,
)
from l0.calibration.fitting.whole_fit import WholeFit
from l0.calibration.inputs.quotas import Quota
from l0.calibration.inputs.survey import read_survey
from l0.calibration.problem.constraints import group_records
from l0.data.codings import Coding
from tests.calibration import problems
from tests.calibration.evaluation.test_evaluate import fit_of


def noted(status="exact", stopped="", gap=0.0, full_file=None, weights=None, out=0, reasons=None):
    problem = problems.problem(n=5, m=3)
    fit = fit_of(problem, 5, status)
    fit = replace(fit, solution=replace(fit.solution, stopped=stopped, gap=gap))
    weights = np.ones(5) if weights is None else np.array(weights)
    reasons = np.full(3, "") if reasons is None else np.array(reasons)
    return notes(problem, fit, full_file, weights, out, reasons)


@pytest.mark.parametrize("status", ["exact", "optimal"])
def test_a_fit_that_found_what_it_looked_for_needs_no_note(status):
    assert noted(status) == []


@pytest.mark.parametrize("by", REMEDIES)
def test_a_stopped_fit_says_what_stopped_it_how_good_it_is_and_what_to_do(by):
    (note,) = noted("stopped", by, 0.12)
    assert note.startswith(f"The fit of the weights was stopped by {by} before it reached its gap")
    assert "certainly within 12% of the best possible one; " + REMEDIES[by] in note


def test_a_stopped_full_file_is_another_note():
    problem = problems.problem(n=5, m=3)
    full = fit_of(problem, 5, "stopped")
    full = replace(full, solution=replace(full.solution, stopped="max_seconds", gap=0.5))
    (note,) = noted(full_file=full)
    assert note.startswith("The fit of the full file, the reference of this one, was stopped by")
    assert len(noted("stopped", "iterations", 0.1, full_file=full)) == 2


def test_negative_weights_are_counted():
    (note,) = noted(weights=[1, -1, 2, -0.5, 1])
    assert note.startswith("2 of 5 weights are negative, which `distance='linear'` allows; pass")


@pytest.mark.parametrize(("out", "text"), [(1, "1 record has"), (253, "253 records have")])
def test_records_forced_out_are_counted(out, text):
    assert noted(out=out) == [f"{text} the weight 0, which a target of value 0 forces"]


def test_targets_out_of_reach_are_named_where_all_others_are_met():
    reasons = ["", "no record behind it", ""]
    (note,) = noted(reasons=reasons)
    assert note == "All targets are met exactly but those that are out of reach: 't001'"
    assert noted("optimal", reasons=reasons) == []


@pytest.mark.parametrize(("n", "text"), [(1, "1 record was"), (1200, "1,200 records were")])
def test_records_of_weight_0_are_counted(n, text):
    problem = replace(problems.problem(n=5, m=3), n_dropped=n)
    (note,) = notes(problem, fit_of(problem, 5, "exact"), None, np.ones(5), 0, np.full(3, ""))
    assert note == f"{text} left out because of a design weight of 0 (`zero_weights='drop'`)"


def test_the_constraints_that_were_obeyed_are_counted():
    quotas = [Quota("a", np.array([0]), 1, None)]
    flags = np.array([True, True, False])
    nobody = np.zeros(3, dtype=bool)
    said = "The chosen records obey the constraints: "
    assert constraints_note(None) == []
    assert constraints_note(group_records(flags, [], np.arange(3))) == [
        f"{said}2 records of `must_keep`"
    ]
    assert constraints_note(group_records(nobody, quotas, np.arange(3))) == [
        f"{said}1 cell of `quotas`"
    ]


def rounded(fitted, whole, first=None, n_outside=0, keep_total=False):
    problem = problems.problem(n=5, m=3)
    fitted, whole = np.array(fitted), np.array(whole)
    first = fitted if first is None else np.array(first)
    of = WholeFit(whole, fit_of(problem, 5, "exact"), fitted, first, n_outside)
    return rounding_notes(problem, np.arange(5), of, keep_total), problem


def test_a_rounding_says_what_it_changed_and_what_the_certificate_is_of():
    (note,), problem = rounded([1.5, 2.5, 80.0, 90.0, 100.0], [1, 3, 80, 90, 100])
    before, after = (
        100 * fit_metrics(problem.relative_errors(problem.errors(problem.estimate(w))),
                          problem.importance)["loss"]
        for w in (np.array([1.5, 2.5, 80.0, 90.0, 100.0]), np.array([1.0, 3, 80, 90, 100]))
    )  # fmt: skip
    assert note == (
        "The fitted weights were rounded to whole numbers, which changed the mean error on the "
        f"targets from {before:.3f}% to {after:.3f}%. `gap` and the shadow prices are those of the "
        "fitted weights."
    )


def test_weights_that_were_whole_need_no_note():
    assert rounded([1.0, 2.0, 3.0, 4.0, 5.0], [1, 2, 3, 4, 5])[0] == []


@pytest.mark.parametrize(("n_outside", "were"), [(1, "was"), (2, "were")])
def test_a_second_fit_is_a_note_of_its_own(n_outside, were):
    fitted = [1.0, 2.0, 3.0, 4.0, 5.0]
    (note,), _ = rounded(fitted, [1, 2, 3, 4, 5], [0.1, 2.9, 3, 4, 5], n_outside)
    assert note.startswith(f"{n_outside} of 5 fitted weights {were} outside the whole numbers of")


def test_a_total_that_is_no_whole_number_is_told():
    (note,), problem = rounded([1.0, 2.0, 3.0, 4.0, 5.0], [1, 2, 3, 4, 5], keep_total=True)
    assert note == (
        "The weights add up to 15, the whole number nearest to the sum of all design weights, "
        f"{problem.design_weights.sum():.10g}."
    )


def test_missing_codes_of_a_file_are_named_by_table():
    income = Coding("stata", found={"a": 2, "b": 1}).on(pa.field("income", pa.int64()))
    table = pa.table([[1, 2], [None, 5]], schema=pa.schema([("id", pa.int64()), income]))
    (note,) = missing_codes(read_survey(table, key="id", members={"person": table.drop("income")}))
    assert note == (
        "`records` have missing codes, which count as empty cells, in the columns 'income (a, b)'"
    )
