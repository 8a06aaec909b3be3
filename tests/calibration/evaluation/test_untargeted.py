import itertools

import numpy as np
import pandas as pd
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.evaluation import sums, untargeted
from l0.calibration.evaluation.sums import LEAST_EFFECTIVE_N

LABELS = ["state", "band", "owner", "year"]
AMOUNTS = ["income", "wealth"]
STATES = ["01", "02", "06", "36"]
AGES = ["0-17", "18-64", "65+"]


def compare(frames, weights=None):
    """The statistics as a pandas frame; by default of a result that keeps every third record."""
    problem = CalibrationProblem.from_frames(**frames.options())
    if weights is None:
        weights = np.where(np.arange(problem.n_records) % 3 == 0, 3.3, 0.0)
    reference = problem.design_weights
    return problem.untargeted.compare(reference, weights * reference).to_pandas()


def text(level):
    return str(level).lower() if isinstance(level, (bool, np.bool_)) else str(level)


def support(part):
    squares = (part**2).sum()
    return part.sum() ** 2 / squares if squares else 0.0


def by_hand(units, labels, amounts):
    """Every statistic there could be: name -> reference, estimate, support, held out."""
    units = units.assign(count=1.0)
    thresholds = {amount: quartiles(units[amount], units["weight"]) for amount in amounts}
    found = {}
    for columns in itertools.chain.from_iterable(
        itertools.combinations(labels, n_labels) for n_labels in (0, 1, 2, 3)
    ):
        for _, cell in units.groupby(list(columns) or (lambda _: 0)):
            levels = ", ".join(f"{c}={text(cell[c].iloc[0])}" for c in columns)
            by = f" by {levels}" if levels else ""
            now = cell["weight"] * cell["factor"]
            for variable in ("count", *amounts):
                part = cell[variable] * cell["weight"]
                total, estimate = part.sum(), (cell[variable] * now).sum()
                found[variable + by] = (total, estimate, support(part), len(columns) > 1)
                if variable == "count" or len(columns) > 1:
                    continue
                has = cell[variable] != 0
                holders = cell["weight"][has]
                found[f"mean {variable} where not 0{by}"] = (
                    total / holders.sum(),
                    estimate / now[has].sum(),
                    min(support(part), support(holders)),
                    True,
                )
                for threshold in thresholds[variable]:
                    inside = has & (cell[variable] <= threshold)
                    below = cell["weight"][inside]
                    found[f"share with {variable} up to {threshold:,.6g} where not 0{by}"] = (
                        below.sum() / holders.sum(),
                        now[inside].sum() / now[has].sum(),
                        min(support(below), support(holders)),
                        True,
                    )
    return found


def quartiles(numbers, weights):
    order = np.argsort(numbers[numbers != 0])
    values = numbers[numbers != 0].to_numpy()[order]
    cumulated = weights[numbers != 0].to_numpy()[order].cumsum()
    return [values[(cumulated < share * cumulated[-1]).sum()] for share in (0.25, 0.5, 0.75)]


def assert_is_by_hand(table, expected):
    assert table.index.is_unique
    assert set(table.index) == set(expected)
    for place, name in enumerate(["reference", "estimate", "effective_n", "held_out"]):
        np.testing.assert_allclose(
            table[name], [expected[statistic][place] for statistic in table.index], rtol=1e-9
        )
    np.testing.assert_allclose(
        table["relative_error"],
        (table["estimate"] - table["reference"]) / table["reference"].abs(),
    )


@pytest.mark.parametrize("least", [LEAST_EFFECTIVE_N, 5.0])
def test_statistics_are_totals_shares_and_means_by_labels(survey, monkeypatch, least):
    monkeypatch.setattr(sums, "LEAST_EFFECTIVE_N", least)
    factor = np.where(np.arange(400) % 3 == 0, 3.3, 0.0)
    table = compare(survey, factor).set_index("statistic")
    table = table[~table.index.str.startswith("person ")]
    said = {
        *(f"income by state={s}, band={b}" for s in STATES for b in ("low", "middle", "high")),
        *(f"{variable} by state={s}" for s in STATES for variable in ("count", "income")),
        *(f"income by band={b}" for b in ("low", "middle", "high")),
        *(f"count by owner={o}" for o in ("true", "false")),
        "count",
        "income",
        "wealth",
        "wealth by year=2021",
    }
    households = survey.households.sort_values("household").assign(factor=factor)
    everything = by_hand(households, LABELS, AMOUNTS)
    expected = {
        name: row for name, row in everything.items() if name not in said and row[2] >= least
    }
    assert_is_by_hand(table, expected)
    assert set(table["by"].str.count(", ")) == ({0, 1, 2} if least == 5 else {0, 1})
    assert table.loc["count by year=2021", "by"] == "year"
    assert not table["trained"].any()


def test_labels_of_members_form_pairs_with_labels_of_their_records(survey):
    factor = np.where(np.arange(400) % 3 == 0, 3.3, 0.0)
    table = compare(survey, factor).set_index("statistic")
    table = table[table.index.str.startswith("person ")]
    households = survey.households.sort_values("household").assign(factor=factor)
    persons = survey.persons.merge(households)
    said = {
        *(f"count by state={s}" for s in STATES),
        *(f"{variable} by age={a}" for variable in ("count", "earnings") for a in AGES),
        *("count", "earnings"),
    }
    expected = {
        f"person {name}": row
        for name, row in by_hand(persons, ["age", *LABELS], ["earnings"]).items()
        if name not in said
        and row[2] >= LEAST_EFFECTIVE_N
        # No statistic is by labels of the records alone, and none by three labels.
        and (" by " not in name or " by age=" in name)
        and name.count(", ") < 2
    }
    assert_is_by_hand(table, expected)


def test_trained_statistics_are_not_held_out(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    ones = np.ones(400)
    names = {"count by year=2021", "person count by age=0-17, state=36", "no statistic"}
    free = problem.untargeted.compare(ones, ones).to_pandas()
    table = problem.untargeted.compare(ones, ones, names).to_pandas()
    assert set(table["statistic"][table["trained"]]) == names - {"no statistic"}
    assert set(free["statistic"][free["held_out"]]) - set(
        table["statistic"][table["held_out"]]
    ) == {"person count by age=0-17, state=36"}


def test_a_cell_is_said_only_where_all_its_records_are(survey):
    # One of a state's bands is no target: nor is then the state, but its other bands are.
    copies = survey.households.loc[survey.households.index.repeat(5)]
    households = copies.assign(household=range(2000))
    targets = pd.DataFrame(
        [
            {"variable": "count", "state": state, "band": band, "value": 1.0}
            for state in ("06", "36")
            for band in ("low", "middle", "high")
            if (state, band) != ("06", "high")
        ]
    )
    frames = survey._replace(households=households, targets=targets)
    statistics = set(compare(frames, np.ones(2000))["statistic"])
    assert "count by state=06" in statistics
    assert "count by state=36" not in statistics
    assert "count by state=06, band=high" in statistics
    assert "count by state=06, band=low" not in statistics
    assert "count by band=low" in statistics
    assert "income by state=36" in statistics
    assert "count by state=36, owner=true" in statistics


def test_targets_of_members_say_nothing_of_records(survey):
    targets = pd.DataFrame([{"entity": "person", "variable": "count", "value": 1.0}])
    assert "count" in set(compare(survey._replace(targets=targets))["statistic"])


def test_a_target_on_the_key_does_no_harm(survey):
    key = int(survey.households["household"].iloc[0])
    targets = pd.DataFrame([{"variable": "count", "household": key, "value": 1.0}])
    assert "count" in set(compare(survey._replace(targets=targets))["statistic"])


def test_rows_in_any_order_give_the_same_statistics(survey):
    shuffled = survey._replace(
        households=survey.households.sample(frac=1, random_state=1),
        targets=survey.targets.sample(frac=1, random_state=2),
    )
    pd.testing.assert_frame_equal(compare(survey), compare(shuffled), check_exact=True)
    pd.testing.assert_frame_equal(compare(survey), compare(survey), check_exact=True)


def test_the_same_weights_have_no_error(survey):
    assert (compare(survey, np.ones(400))["relative_error"] == 0).all()


def test_support_does_not_depend_on_the_scale_of_the_weights(survey):
    larger = survey._replace(
        households=survey.households.assign(weight=lambda frame: frame["weight"] * 1024)
    )
    np.testing.assert_array_equal(compare(survey)["effective_n"], compare(larger)["effective_n"])


def test_one_huge_record_leaves_little_support(survey):
    households = survey.households.assign(lottery=1.0)
    assert "lottery" in set(compare(survey._replace(households=households))["statistic"])
    households.loc[0, "lottery"] = 1e9
    assert "lottery" not in set(compare(survey._replace(households=households))["statistic"])


def test_empty_labels_have_a_name_of_their_own(survey):
    households = survey.households.assign(
        region=np.where(survey.households.index < 200, "north", None)
    )
    statistics = compare(survey._replace(households=households)).set_index("statistic")
    weight = households["weight"]
    assert statistics.loc["count by region=(none)", "reference"] == pytest.approx(
        weight[200:].sum()
    )
    assert statistics.index.is_unique


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_unknown_amounts_count_as_nothing(survey, bad):
    households = survey.households.assign(note=np.where(survey.households.index < 200, 2.0, bad))
    statistics = compare(survey._replace(households=households), np.ones(400))
    notes = statistics[statistics["variable"] == "note"].set_index("statistic")
    assert notes.loc["note", "reference"] == pytest.approx(2 * households["weight"][:200].sum())
    assert notes.loc["note", "effective_n"] <= 200
    assert np.isfinite(statistics[["reference", "estimate", "relative_error"]]).all(axis=None)


def test_an_amount_named_count_is_not_taken_for_the_number_of_records(survey):
    named = survey._replace(
        households=survey.households.assign(count=survey.households["income"]),
        targets=pd.DataFrame([{"variable": "income", "value": 1.0}]),
    )
    statistics = compare(named, np.ones(400)).set_index("statistic")
    assert statistics.index.is_unique
    assert statistics.loc["count", "reference"] == pytest.approx(survey.households["weight"].sum())


def test_a_survey_of_hundreds_of_columns_is_bounded():
    generator = np.random.default_rng(0)
    n = 2000
    records = pd.DataFrame(
        {
            "id": range(n),
            **{f"code {i}": generator.choice(["a", "b"], n) for i in range(50)},
            "county": generator.choice([f"c{i}" for i in range(15)], n),
            **{f"replicate {i}": generator.lognormal(0, 0.1, n) for i in range(80)},
            "income": generator.lognormal(0, 0.1, n),
        }
    )
    targets = pd.DataFrame(
        [
            {"variable": "income", "code 49": "a", "value": 1.0},
            {"variable": "count", "county": "c1"},
        ]
    ).fillna({"value": 1.0})
    problem = CalibrationProblem.from_frames(records, targets, key="id")
    table = problem.untargeted.compare(np.ones(n), np.ones(n)).to_pandas()
    totals = table["variable"][~table["variable"].str.contains("where not 0")]
    amounts = [name for name in dict.fromkeys(totals) if name != "count"]
    assert amounts == [*(f"replicate {i}" for i in range(untargeted.AMOUNTS - 1)), "income"]
    pairs = {tuple(by.split(", ")) for by in table["by"] if by.count(",") == 1}
    triples = {tuple(by.split(", ")) for by in table["by"] if by.count(",") == 2}
    # `county` is first in line, and its 30 cells with any other hold 67 records each.
    paired = [*(f"code {i}" for i in range(untargeted.PAIRED_LABELS - 2)), "code 49"]
    assert pairs == set(itertools.combinations(paired, 2))
    assert len(triples) <= untargeted.TRIPLES
    assert triples <= set(itertools.combinations(paired, 3))
    assert triples
    assert {f"code {i}" for i in range(50)} <= set(table["by"])
