"""What a check says before a fit, on the inputs that went wrong once."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import l0
from l0.calibration import CalibrationProblem, check
from l0.common.errors import InputError
from tests.calibration import problems


@pytest.fixture
def homes():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "w": rng.uniform(50, 150, 400),
            "area": rng.choice(list("ABCD"), 400),
            "income": rng.lognormal(10, 1, 400),
        }
    )


def counts(**values):
    return pd.DataFrame({"variable": "count", "area": values.keys(), "value": values.values()})


def about(report, severity=("error", "warning", "note")):
    rows = report.table.to_pylist()
    return {row["about"]: row for row in rows if row["severity"] in severity}


def test_a_survey_without_fault_has_no_findings(homes):
    total = homes["w"].sum()
    report = check(homes, counts(A=total / 4, B=total / 4), weight="w")
    assert report.ok and repr(report) == "<CheckReport: no findings>"
    assert isinstance(report.to_frame(), pd.DataFrame)


def test_s5_a_rare_area_is_named_and_is_no_error_of_the_scale(homes):
    homes.loc[0, "area"] = "Z"
    targets = pd.concat([counts(Z=50_000), pd.DataFrame({"variable": ["count"], "value": [9e4]})])
    report = check(homes, targets, weight="w")
    found = about(report)
    assert "scale" not in found
    assert found["suspect values"]["names"] == ["count by area=Z"]
    assert "count by area=Z: 1" in found["few records"]["what"]
    assert "2.18 times" in found["measured otherwise"]["what"]


def test_weights_in_another_unit_are_one_finding(homes):
    report = check(homes, counts(A=10, B=10, C=10), weight="w")
    (row,) = report.table.to_pylist()
    assert (row["severity"], row["about"]) == ("error", "scale")


def test_s7_levels_that_differ_by_a_blank_are_named(homes):
    inside = homes.index[homes["area"] == "A"][::2]
    homes.loc[inside, "area"] = "A "
    report = check(homes, counts(A=9_000), weight="w")
    row = about(report)["levels"]
    assert row["severity"] == "error"
    assert "'A ' in" in row["what"] and row["remedy"].startswith("write them in the same way")
    with pytest.raises(InputError, match="differ only in blanks or case"):
        l0.calibrate(homes, counts(A=9_000), weight="w")


def test_s8_bounds_that_no_k_records_can_satisfy_together():
    A = np.kron(np.eye(2), np.ones(200))
    problem = CalibrationProblem.from_matrix(A, [20_000, 20_000], np.full(400, 100.0))
    report = problem.check(50, bounds=(None, 4))
    row = about(report)["joint reach"]
    assert "50 records within these bounds reach together at most about 20,000 of" in row["what"]
    assert row["names"] == ["target 0", "target 1"]
    assert problem.check(100, bounds=(None, 4)).ok


def test_s10_a_level_without_records_may_be_0(homes):
    report = check(homes, counts(A=1e4, E=0), weight="w")
    assert report.ok
    assert about(report)["no records"]["names"] == ["count by area=E"]
    lost = check(homes, counts(A=1e4, E=5), weight="w")
    assert {"levels", "unreachable"} <= about(lost).keys()


@pytest.mark.parametrize(
    "values",
    [[10**30] * 400, [1j] * 400, pd.arrays.SparseArray([1.0 + 1j] * 400)],
    ids=["huge", "complex", "sparse"],
)
def test_s11_an_unused_column_of_an_odd_type_is_named(homes, values):
    report = check(homes.assign(odd=values), counts(A=1e4), weight="w")
    assert report.ok
    assert about(report)["columns"]["names"][0].startswith("odd (")


def test_s14_forgotten_members_are_asked_for(homes):
    targets = pd.DataFrame({"entity": ["person"], "variable": ["count"], "age": [3], "value": [1]})
    with pytest.raises(InputError, match="pass `members=` with the table of 'person'"):
        check(homes, targets, weight="w")


def test_all_faults_are_in_one_report(survey):
    given = survey.options()
    persons = survey.persons.copy()
    persons.loc[:1, "household"] = 1
    households = survey.households.assign(state=survey.households["state"].replace("01", "O1"))
    targets = survey.targets.iloc[[*range(len(survey.targets)), 1]]
    contrary = pd.DataFrame({"entity": [""], "variable": ["income"], "value": [1.0]})
    table = pd.concat([targets, contrary], ignore_index=True)
    options = {"key": given["key"], "weight": given["weight"], "members": {"person": persons}}
    report = check(households, table, max_seconds=60, **options)
    found = about(report)
    expected = {"members", "levels", "unreachable", "duplicates", "contradictions"}
    assert expected <= found.keys()
    assert (found["members"]["names"], found["members"]["count"]) == (["1"], 1)
    with pytest.raises(InputError, match="record is missing from `records`"):
        CalibrationProblem.from_frames(households, table, **options)


def test_two_values_for_one_target_are_found(homes):
    table = pd.concat([counts(A=9e3, B=9e3), counts(A=8e3)])
    report = check(homes, table, weight="w")
    assert about(report, ["error"])["duplicates"]["count"] == 1
    assert "contradictions" in about(report)


def test_a_budget_with_constraints_is_checked(homes):
    homes["must"] = np.arange(400) < 30
    row = about(check(homes, counts(A=1e4), weight="w", n_records=20, must_keep="must"))
    assert "`n_records` is 20" in row["constraints"]["what"]
    with pytest.raises(InputError, match="no column 'mst'"):
        check(homes, counts(A=1e4), weight="w", n_records=20, must_keep="mst")
    with pytest.raises(InputError, match="`n_records` must be"):
        check(homes, counts(A=1e4), weight="w", n_records=401)
    with pytest.raises(InputError, match="`max_seconds` must be positive"):
        check(homes, counts(A=1e4), weight="w", max_seconds=0)


def test_nothing_that_can_be_reached_is_one_error():
    problem = CalibrationProblem.from_matrix(sp.csr_array((1, 4)), [5.0], np.full(4, 10.0))
    (row,) = problem.check().table.to_pylist()
    assert (row["severity"], row["about"]) == ("error", "unreachable")


def test_a_problem_says_what_the_tables_say(survey):
    given = survey.options()
    problem = CalibrationProblem.from_frames(**given)
    ours = problem.check(40, max_seconds=60)
    theirs = check(**given, n_records=40, max_seconds=60)
    assert ours.table.equals(theirs.table)
    assert ours.group_table.equals(theirs.group_table)


def test_the_order_of_rows_does_not_matter(survey):
    given = survey.options()
    first = check(**given, max_seconds=60)
    shuffled = {name: given[name].sample(frac=1, random_state=3) for name in ("records", "targets")}
    assert check(**{**given, **shuffled}, max_seconds=60).table.equals(first.table)


def test_a_kind_can_be_asked_for(homes):
    assert isinstance(check(homes, counts(A=1e4), weight="w", kind="pyarrow").groups, pa.Table)
    assert problems.problem().check().ok


def test_neither_a_check_nor_a_template_imports_torch(homes, tmp_path):
    homes.to_csv(tmp_path / "homes.csv")
    counts(A=1e4).to_csv(tmp_path / "targets.csv", index=False)
    code = (
        "import sys; from l0.calibration import check, targets_template\n"
        "found = check('homes.csv', 'targets.csv', weight='w', n_records=30, bounds=(None, 90))\n"
        "print(found); targets_template('homes.csv', by=['area'], weight='w')\n"
        "assert 'torch' not in sys.modules"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_means_shares_and_limits_are_checked_in_their_own_terms(homes):
    mean = np.average(homes["income"], weights=homes["w"])
    table = pd.DataFrame(
        {
            "statistic": ["mean", "share", "total", "mean"],
            "variable": ["income", "count", "count", "income"],
            "area": [None, "A", "B", "C"],
            "value": [mean, 0.3, None, 1e9],
            "at_most": [None, None, 2e4, None],
        }
    )
    report = check(homes, table, weight="w", max_seconds=60)
    found = about(report)
    assert found.keys() == {"unreachable"}
    assert "mean income by area=C': it is at most" in found["unreachable"]["what"]
    assert report.group_table.column("n_unreachable").to_pylist().count(1) == 1


def rare_area(tax_units, targets):
    """S5: one record in an area, with a total of ten million."""
    tax_units.loc[tax_units.index[0], "state"] = "ZZ"
    row = {"entity": "tax_unit", "variable": "count", "state": "ZZ", "value": 1e7, "name": "zz"}
    return tax_units, pd.concat([targets, pd.DataFrame([row])]), {}


def blanks(tax_units, targets):
    """S7: half of a state is written with a blank."""
    tax_units.loc[tax_units.index[tax_units["state"] == "VT"][::2], "state"] = "VT "
    return tax_units, targets, {}


def bounded(tax_units, targets):
    """S8: a thousand records whose weights may grow to four times."""
    return tax_units, targets, {"n_records": 1_000, "bounds": (None, 4)}


def empty_level(tax_units, targets):
    """S10: a level without records, and a total of 0."""
    row = {"entity": "tax_unit", "variable": "count", "state": "ZZ", "value": 0.0, "name": "zz"}
    return tax_units, pd.concat([targets, pd.DataFrame([row])]), {}


def odd_column(tax_units, targets):
    """S11: a column of huge integers."""
    return tax_units.assign(odd=[10**30] * len(tax_units)), targets, {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "subject", "severity", "text"),
    [
        (rare_area, "suspect values", "warning", "zz: "),
        (blanks, "levels", "error", "'VT ' in "),
        (bounded, "joint reach", "warning", "1,000 records within these bounds"),
        (empty_level, "no records", "note", "'zz'"),
        (odd_column, "columns", "note", "odd ("),
    ],
)
def test_variants_of_the_bundled_survey(variant, subject, severity, text):
    tax_units, persons, targets = l0.datasets.load_cps("pandas")
    tax_units["state"] = tax_units["state"].astype(str)
    tax_units, targets, options = variant(tax_units, targets)
    keys = {"key": "tax_unit_id", "weight": "weight", "members": {"person": persons}}
    report = check(tax_units, targets, **keys, **options)
    assert text in about(report, [severity])[subject]["what"]
    with pytest.raises(InputError, match="pass `members=` with the table of"):  # S14
        check(tax_units, targets, key="tax_unit_id", weight="weight")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ends=st.sampled_from(["bounds", "weight_bounds", None]))
def test_targets_that_a_choice_of_k_records_meets_are_no_contradiction(seed, ends):
    """Lower limits hold for the chosen records only."""
    rng = np.random.default_rng(seed)
    n, k = 60, int(rng.integers(3, 50))
    weights, ratios = rng.uniform(50, 150, n), np.zeros(n)
    ratios[rng.choice(n, k, replace=False)] = rng.uniform(0.8, 1.25, k) * n / k
    A = np.vstack([np.ones(n), rng.lognormal(0, 1, n), rng.normal(0, 1, n), rng.random(n) < 0.5])
    kept = {"bounds": ratios, "weight_bounds": ratios * weights, None: ratios}[ends]
    limits = {ends: (kept[kept > 0].min() * 0.99, kept.max() * 1.01)} if ends else {}
    problem = CalibrationProblem.from_matrix(A, A @ (weights * ratios), weights)
    found = about(problem.check(k, **limits), ("error", "warning"))
    assert found.keys() <= {"measured otherwise", "suspect values"}
