import numpy as np
import pandas as pd
import pytest

from l0.calibration import CheckReport
from l0.calibration.diagnosis.groups import group_table
from l0.calibration.diagnosis.report import GROUPS, findings_table
from l0.calibration.findings import ERROR, NOTE, WARNING, Finding
from tests.calibration import problems

NOTED = Finding(NOTE, "few records", "2 targets have few records", "merge them", ("a", "b"), 2)
WARNED = Finding(WARNING, "levels", "`targets` ask for '<b>'", "correct it")
STOPPED = Finding(ERROR, "scale", "they are not on one scale", "check the units")


def report(*findings, kind="pandas", problem=None):
    of = problem or problems.problem(n=30, m=3)
    groups = group_table(of, np.array([""] * of.n_targets))
    return CheckReport(findings_table(findings), groups, of.n_records, of.n_targets, kind)


@pytest.mark.parametrize(
    ("findings", "ok"),
    [((), True), ((NOTED,), True), ((NOTED, WARNED), False), ((STOPPED,), False)],
)
def test_it_is_ok_if_there_are_but_notes(findings, ok):
    assert report(*findings).ok == ok


def test_the_worst_comes_first_and_the_frame_is_of_the_kind():
    frame = report(NOTED, WARNED, STOPPED).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["severity"].tolist() == ["error", "warning", "note"]
    assert list(frame["names"].iloc[2]) == ["a", "b"]
    assert list(report().groups.columns)[:3] == ["group", "n_targets", "share"]
    assert report(kind="polars").to_frame().shape == (0, 6)


def test_print_shows_everything_within_80_columns():
    long = Finding(WARNING, "levels", "word " * 40 + "end", "correct it")
    text = str(report(NOTED, long, STOPPED))
    assert text.startswith("30 records, 3 targets: 1 error, 1 warning, 1 note\n\n")
    assert (
        "\n\nERROR (scale)\n  they are not on one scale.\n  What to do: check the units.\n" in text
    )
    assert max(map(len, text.splitlines())) <= 80
    assert repr(report()) == "<CheckReport: no findings>"


def test_many_groups_are_cut_in_the_text_alone():
    many = problems.parts(n=30, m=GROUPS + 2)
    problem = problems.CalibrationProblem.from_matrix(
        **many, groups=[f"group {row}" for row in range(GROUPS + 2)]
    )
    shown = report(problem=problem)
    assert "and 2 more groups" in str(shown)
    assert len(shown.groups) == GROUPS + 2


def test_a_notebook_shows_text_as_text():
    page = report(WARNED)._repr_html_()
    assert "&#x27;&lt;b&gt;&#x27;" in page and "<b>" not in page
