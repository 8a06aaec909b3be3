import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.stats

import l0
from l0.calibration import CalibrationProblem, CalibrationResult
from l0.calibration.results.replicate_weights import attach, replicates_of
from l0.calibration.variance.question import COLUMNS
from l0.common.errors import InputError
from tests.calibration.variance.samples import delete_one, with_replicates

NATIVE = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


@pytest.fixture
def result(survey):
    return with_replicates(l0.calibrate(**survey.options(), n_records=120, epochs=8))


def by_hand(result, function):
    """A statistic of the weights by key, under the weights and under each column."""
    key = result.weights["household"].to_numpy()
    of = replicates_of(result.tables, result.run)
    main = function(pd.Series(result.values, key))
    others = [function(pd.Series(column, key)) for column in of.weights.T]
    return main, np.sqrt(of.rscales @ (np.array(others) - main) ** 2)


# What it estimates


@pytest.mark.parametrize("kind", [*NATIVE, "parquet", "csv"])
def test_estimates_are_those_of_the_weights_and_come_in_the_kind_of_the_table(
    result, survey, convert, kind
):
    households = survey.households.drop(columns="weight")
    found = result.estimate(convert(households, kind), "income", by=["state", "owner"])
    assert isinstance(found, NATIVE.get(kind, pd.DataFrame))
    columns = list(found.column_names if isinstance(found, pa.Table) else found.columns)
    assert columns == ["state", "owner", *COLUMNS]
    inside = households[(households["state"] == "06") & households["owner"]].set_index("household")
    main, error = by_hand(result, lambda w: (w * inside["income"]).sum())
    states, owners = (np.asarray(found[name]).astype(str) for name in ("state", "owner"))
    (row,) = np.flatnonzero((states == "06") & np.isin(owners, ["True", "true"]))
    values = {name: np.asarray(found[name])[row] for name in COLUMNS}
    assert values["estimate"] == pytest.approx(main)
    assert values["standard_error"] == pytest.approx(error)
    assert values["cv"] == pytest.approx(error / main)
    half = values["high"] - values["estimate"]
    degrees = min(replicates_of(result.tables, result.run).degrees, values["n_records"] - 1)
    assert half == pytest.approx(error * scipy.stats.t.ppf(0.975, degrees))
    assert values["n_records"] == np.isin(inside.index, result.weights["household"]).sum()
    assert values["few_records"] == (values["n_records"] < 30)


def test_members_have_the_weight_of_their_record_and_support_counts_records(result, survey):
    found = result.estimate(survey.persons, by="age")
    for row in found.to_dict("records"):
        inside = survey.persons[survey.persons["age"] == row["age"]]
        sizes = inside.groupby("household").size()
        main, error = by_hand(result, lambda w, sizes=sizes: (w * sizes).sum())
        assert (row["estimate"], row["standard_error"]) == (
            pytest.approx(main), pytest.approx(error),
        )  # fmt: skip
        assert row["n_records"] == sizes.index.isin(result.weights["household"]).sum()


def test_a_difference_has_the_covariance_of_both_domains(result, survey):
    asked = {"by": "state", "statistic": "mean"}
    homes = survey.households
    apart = result.estimate(homes, "income", **asked, compared_with={"state": "36"})
    assert apart["state"].tolist() == ["01", "02", "06"]
    chosen = homes.set_index("household")

    def means(w):
        rows = chosen.loc[w.index]
        return np.average(rows["income"][rows["state"] == "06"], weights=w[rows["state"] == "06"])

    def both(w):
        rows = chosen.loc[w.index]
        inside = rows["state"] == "36"
        return means(w) - np.average(rows["income"][inside], weights=w[inside])

    main, error = by_hand(result, both)
    assert apart["estimate"][2] == pytest.approx(main)
    assert apart["standard_error"][2] == pytest.approx(error)
    assert apart["design_effect"].isna().all()
    whole = result.estimate(homes, "income", **asked)
    assert apart["n_records"][2] == whole["n_records"][2:].min()


def test_a_difference_of_quantiles_has_a_standard_error(result, survey):
    asked = {"by": "owner", "statistic": "quantile", "q": 0.5}
    one, other = result.estimate(survey.households, "income", **asked).to_dict("records")
    (apart,) = result.estimate(
        survey.households, "income", **asked, compared_with={"owner": False}
    ).to_dict("records")
    assert apart["estimate"] == pytest.approx(other["estimate"] - one["estimate"])
    errors = one["standard_error"], other["standard_error"]
    assert abs(errors[0] - errors[1]) <= apart["standard_error"] <= sum(errors)
    assert apart["low"] < apart["estimate"] < apart["high"]


def test_the_function_of_weights_gives_the_same_as_the_statistic(result, survey):
    homes = survey.households.set_index("household").loc[result.weights["household"]]
    rich = (homes["income"] > 30_000).to_numpy()
    found = result.variance(lambda w: w[rich].sum() / w.sum())
    table = survey.households.assign(rich=survey.households["income"] > 30_000)
    (row,) = result.estimate(table, "rich", statistic="mean").to_dict("records")
    assert found.estimate == pytest.approx(row["estimate"])
    assert found.standard_error == pytest.approx(row["standard_error"])


def test_a_loaded_result_estimates_the_same(result, survey, tmp_path):
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out", kind="pandas")
    asked = (survey.persons, "earnings")
    pd.testing.assert_frame_equal(
        loaded.estimate(*asked, by="age", statistic="gini"),
        result.estimate(*asked, by="age", statistic="gini"),
    )


def test_a_result_without_a_key_needs_the_table_of_the_records():
    table = pa.table({"x": [1.0, 2.0, 3.0, 6.0]})
    result = CalibrationProblem.from_matrix(np.ones((1, 4)), [4], np.ones(4), keys=None).solve()
    result = attach(result, delete_one(result.values))
    (row,) = result.estimate(table, "x", statistic="mean").to_pylist()
    assert row["estimate"] == 3
    assert row["standard_error"] ** 2 == pytest.approx(np.var([1, 2, 3, 6], ddof=1) / 4)
    assert row["design_effect"] == pytest.approx(1)


def test_a_null_label_is_a_domain_of_its_own(result, survey):
    homes = survey.households.assign(state=survey.households["state"].replace("01", None))
    found = result.estimate(homes, by="state")
    assert found["state"].tolist()[:3] == ["02", "06", "36"] and found["state"].isna()[3]


def test_a_standard_error_that_no_replicate_gives_is_null(result, survey):
    (first,) = survey.households.query("household == @result.weights['household'][0]").index
    homes = survey.households.assign(one=survey.households.index == first)
    found = result.estimate(homes, "income", by="one", statistic="mean").set_index("one")
    assert np.isnan(found.loc[True, "standard_error"]) and np.isnan(found.loc[True, "low"])
    assert found.loc[True, "few_records"] and not found.loc[False, "few_records"]
    assert found.loc[False, "standard_error"] > 0


@pytest.mark.parametrize(
    "asked",
    [
        {"statistic": "total"},
        {"statistic": "mean"},
        {"statistic": "ratio", "denominator": "income"},
    ],
)
def test_where_no_record_has_an_amount_the_error_is_unknown_and_not_0(result, survey, asked):
    homes = survey.households.assign(rare=np.where(survey.households["state"] == "06", 0.0, 1.0))
    found = result.estimate(homes, "rare", by="state", **asked).set_index("state")
    assert found.loc["06", "estimate"] == 0
    for name in ("standard_error", "low", "high", "cv", "design_effect"):
        assert np.isnan(found.loc["06", name])
    assert found.drop("06")["standard_error"].notna().all()
    apart = result.estimate(homes, "rare", by="state", **asked, compared_with={"state": "06"})
    assert apart["standard_error"].isna().all()


# What is refused


def test_missing_amounts_are_named_by_their_rows(result, survey):
    homes = survey.households.copy()
    chosen = np.flatnonzero(homes["household"].isin(result.weights["household"]))
    others = np.setdiff1d(np.arange(400), chosen)
    homes.loc[others, "income"] = np.nan  # no chosen row
    result.estimate(homes, "income")
    homes.loc[chosen[:7], "income"] = np.nan
    text = rf"'income' is null, NaN or infinite in 7 rows of chosen records \(rows {chosen[0]}, .*"
    with pytest.raises(InputError, match=text + "and 2 more.; fill them, or leave these rows out"):
        result.estimate(homes, "income")


def test_domains_without_a_chosen_record_are_named(result, survey):
    homes = survey.households
    chosen = homes["household"].isin(result.weights["household"])
    homes = homes.assign(place=np.where(chosen, "here", "there"))
    with pytest.raises(InputError, match=r"has no chosen record \('place there'\), .*sele"):
        result.estimate(homes, by="place")
    assert len(result.estimate(result.select(homes), by="place")) == 1


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"of": "incom"}, "`table` has no column 'incom' to use as `of`; closest: 'income'"),
        ({"of": "band"}, r"`of` names the column 'band', which is .*, not a number"),
        ({"by": "stat"}, "`by` names the column 'stat', which `table` lacks; closest: 'state'"),
        (
            {"of": "income", "statistic": "ratio", "denominator": "nothing"},
            r"the ratio has a denominator of 0 in 1 domain \('all rows'\); leave their rows out",
        ),
        (
            {"of": "nothing", "statistic": "gini", "by": "state"},
            r"the gini has a total that is not above 0 in 4 domains \('state 01', ",
        ),
        ({"of": "nothing", "statistic": "share"}, "the share has a denominator of 0"),
        (
            {"of": "income", "statistic": "ratio", "denominator": "incme"},
            "`table` has no column 'incme' to use as `denominator`; closest: 'income'",
        ),
    ],
)
def test_wrong_columns_are_named(result, survey, asked, text):
    with pytest.raises(InputError, match=text):
        result.estimate(survey.households.assign(nothing=0.0), **asked)


def test_a_table_without_the_key_is_named(result, survey):
    with pytest.raises(InputError, match="`table` has no column 'household' to use as the key"):
        result.estimate(survey.households.drop(columns="household"), "income")
    with pytest.raises(InputError, match="`table` has no row of a chosen record in 'household'"):
        result.estimate(survey.households.assign(household=-1), "income")


def test_negative_weights_have_no_distribution(result, survey):
    of = replicates_of(result.tables, result.run)
    of.weights[:, 0] -= 1e9
    spoiled = attach(result, of)
    spoiled.estimate(survey.households, "income", statistic="mean")
    for asked in ({"statistic": "gini"}, {"statistic": "quantile", "q": 0.5}):
        with pytest.raises(InputError, match="needs weights of at least 0, and 120 rows have a"):
            spoiled.estimate(survey.households, "income", **asked)
