"""What holds for every selector under `must_keep` and `quotas`."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import l0
from l0.calibration import SELECTORS, CalibrationProblem, Hybrid
from l0.calibration.fitting.selected import Selection
from l0.calibration.inputs.quotas import Quota
from l0.calibration.problem.constraints import group_records
from l0.calibration.selection.constrained import Room, draw_probabilities, group_order, obey
from l0.calibration.selection.coverage import cover
from l0.common.errors import InputError
from tests.calibration import problems

every_selector = pytest.mark.parametrize("method", SELECTORS)
STATES, AGES = list("ABCD"), ["old", "young"]


class Lowest:
    """A selector of a user, who has not heard of constraints."""

    needs_full_file = False

    def select(self, context, n_records):
        return Selection(context.candidates[:n_records], np.ones(n_records), 0.1)


def survey(n=80, seed=0):
    rng = np.random.default_rng(seed)
    homes = pd.DataFrame(
        {
            "id": rng.permutation(n) + 100,
            "w": rng.uniform(50, 150, n),
            "state": rng.choice(STATES, n, p=[0.1, 0.2, 0.3, 0.4]),
            "age": rng.choice(AGES, n),
            "income": rng.lognormal(10, 1, n),
        }
    )
    rows = [
        {"variable": "count", "state": state, "value": homes["w"][homes["state"] == state].sum()}
        for state in sorted(homes["state"].unique())
    ]
    rows.append({"variable": "income", "value": (homes["w"] * homes["income"]).sum() * 1.1})
    return homes, pd.DataFrame(rows)


def calibrate(homes, targets, k, method="hybrid", **options):
    fixed = {"key": "id", "weight": "w", "epochs": 16, "device": "cpu"}
    return l0.calibrate(homes, targets, n_records=k, method=method, **{**fixed, **options})


def cell(homes, row):
    """The records of a row of quotas."""
    there = np.ones(len(homes), dtype=bool)
    for name in ("state", "age"):
        if isinstance(row.get(name), str):
            there &= (homes[name] == row[name]).to_numpy()
    return there


def assert_obeyed(result, homes, k, must, quotas):
    assert len(result.indices) == len(set(result.indices.tolist())) == k
    assert (result.values > 0).all()
    chosen = homes.iloc[result.indices]
    assert set(must) <= set(chosen["id"])
    for row in quotas.to_dict("records"):
        number = cell(chosen, row).sum()
        least, most = row.get("min_records"), row.get("max_records")
        assert pd.isna(least) or number >= least
        assert pd.isna(most) or number <= most


@st.composite
def cases(draw):
    """A survey, a choice, and constraints that this choice obeys."""
    homes, targets = survey(seed=draw(st.integers(0, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    k = draw(st.integers(4, 70))
    choice = rng.choice(
        len(homes), k, replace=False, p=rng.dirichlet(np.ones(len(homes)) * 0.3 + 1)
    )
    chosen = homes.iloc[choice]
    must = chosen["id"].to_numpy()[: draw(st.integers(0, k))]
    possible = [(state, age) for state in [None, *STATES] for age in [None, *AGES]]
    rows = []
    for state, age in draw(st.lists(st.sampled_from(possible), min_size=1, unique=True)):
        number = int(cell(chosen, {"state": state, "age": age}).sum())
        slack = draw(st.integers(0, 2))
        least = max(0, number - slack) if draw(st.booleans()) else None
        most = number + slack if least is None or draw(st.booleans()) else None
        if cell(homes, {"state": state, "age": age}).any() or not least:
            rows.append({"state": state, "age": age, "min_records": least, "max_records": most})
    return homes, targets, k, must, pd.DataFrame(rows)


@every_selector
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_constraints_that_can_be_obeyed_are(method, case):
    homes, targets, k, must, quotas = case
    result = calibrate(homes, targets, k, method, must_keep=must, quotas=quotas)
    assert_obeyed(result, homes, k, must, quotas)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_a_selector_of_a_user_is_made_to_obey(case):
    homes, targets, k, must, quotas = case
    result = calibrate(homes, targets, k, Lowest(), must_keep=must, quotas=quotas)
    assert_obeyed(result, homes, k, must, quotas)


QUOTAS = pd.DataFrame(
    {
        "state": [*STATES, None],
        "age": [None] * 4 + ["old"],
        "min_records": [6, 6, 6, None, 15],
        "max_records": [6, None, None, 9, 15],
    }
)


@every_selector
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_all_records_that_must_be_kept_may_fill_the_budget(method, share):
    homes, targets = survey()
    must = homes["id"].to_numpy()[:20]
    k = round(20 + share * 20)
    result = calibrate(homes, targets, k, method, must_keep=must)
    assert_obeyed(result, homes, k, must, QUOTAS[:0])


@every_selector
def test_the_order_of_records_and_quotas_does_not_matter(method):
    homes, targets = survey()
    must = homes["id"].to_numpy()[:5]
    one = calibrate(homes, targets, 30, method, must_keep=must, quotas=QUOTAS)
    shuffled = homes.sample(frac=1, random_state=1)
    other = calibrate(
        shuffled, targets, 30, method, must_keep=must[::-1].tolist(), quotas=QUOTAS[::-1]
    )
    ours, theirs = problems.weights_by_key(one), problems.weights_by_key(other)
    assert set(ours) == set(theirs)
    np.testing.assert_allclose(
        [ours[key] for key in ours], [theirs[key] for key in ours], rtol=1e-6
    )


@every_selector
def test_the_unit_of_the_weights_does_not_matter(method):
    homes, targets = survey()
    must = homes["id"].to_numpy()[:5]
    one = calibrate(homes, targets, 30, method, must_keep=must, quotas=QUOTAS)
    other = calibrate(
        homes.assign(w=homes["w"] * 1000), targets.assign(value=targets["value"] * 1000), 30,
        method, must_keep=must, quotas=QUOTAS,
    )  # fmt: skip
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_allclose(one.values * 1000, other.values, rtol=1e-3)


@every_selector
def test_constraints_that_say_nothing_change_nothing(method):
    homes, targets = survey()
    one = calibrate(homes, targets, 30, method)
    other = calibrate(homes, targets, 30, method, must_keep=[])
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)


@every_selector
def test_a_seed_gives_identical_bits(method):
    homes, targets = survey()
    one, other = (calibrate(homes, targets, 30, method, quotas=QUOTAS, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)


@every_selector
def test_impossible_quotas_are_named(method):
    homes, targets = survey()
    with pytest.raises(InputError, match="need at least 33 records .* and `n_records` is 20"):
        quotas = QUOTAS.assign(min_records=[6, 9, 9, 9, 0], max_records=None)
        calibrate(homes, targets, 20, method, quotas=quotas)


def test_members_come_with_the_records_that_must_be_kept():
    homes, targets = survey()
    persons = pd.DataFrame(
        {"id": np.repeat(homes["id"].to_numpy(), 2), "age": ["old", "young"] * 80}
    )
    result = calibrate(
        homes, targets, 30, must_keep=homes["id"][:10], quotas=QUOTAS, members={"person": persons}
    )
    small = result.select(persons)
    assert len(small) == 60 and set(homes["id"][:10]) <= set(small["id"])
    assert sorted(set(small["id"])) == sorted(result.select(homes)["id"])


def test_a_total_of_zero_and_a_record_that_must_be_kept_contradict_each_other():
    homes, targets = survey()
    forced = targets.assign(value=np.where(targets["state"] == "A", 0.0, targets["value"]))
    in_a = homes["id"][homes["state"] == "A"].tolist()
    for k in (30, None):
        with pytest.raises(InputError, match=r"`must_keep` has 1 record .*\('count by state=A'\)"):
            calibrate(homes, forced, k, must_keep=in_a[:1])
    with pytest.raises(InputError, match="at least 6 of 'state=A', which has 0"):
        calibrate(homes, forced, 30, quotas=QUOTAS)


def test_with_all_records_the_constraints_are_only_checked():
    homes, targets = survey()
    plain = calibrate(homes, targets, None)
    kept = calibrate(homes, targets, None, must_keep=homes["id"][:3])
    np.testing.assert_array_equal(plain.values, kept.values)
    with pytest.raises(InputError, match="all records are kept, because `n_records` is not given"):
        calibrate(homes, targets, None, quotas=QUOTAS)


def test_a_matrix_takes_keys_and_refuses_quotas():
    problem = problems.problem()
    result = problem.solve(30, "random", must_keep=[1007, 1003], epochs=4)
    assert {3, 7} <= set(result.indices)
    with pytest.raises(InputError, match="a problem from a matrix has none; make the problem from"):
        problem.solve(30, quotas=QUOTAS)


def test_the_result_says_which_constraints_it_obeys(tmp_path):
    homes, targets = survey()
    result = calibrate(homes, targets, 30, must_keep=homes["id"][:3], quotas=QUOTAS)
    assert result.run["notes"][-1] == (
        "The chosen records obey the constraints: 3 records of `must_keep` and 5 cells of `quotas`"
    )
    result.save(tmp_path / "out")
    assert "5 cells of <code>quotas</code>" in (tmp_path / "out" / "report.html").read_text()


def test_a_frontier_obeys_the_constraints_at_each_budget():
    homes, targets = survey()
    options = {"key": "id", "weight": "w", "epochs": 16, "must_keep": homes["id"][:10]}
    frontier = l0.frontier(homes, targets, n_records=[60, 30, 10], **options)
    assert frontier.table.column("n_records").to_pylist() == [60, 30, 10]
    with pytest.raises(InputError, match="`n_records` is 9, and `must_keep` has 10 records"):
        l0.frontier(homes, targets, n_records=[60, 9], **options)
    with pytest.raises(InputError, match="need at least .* records .*, and `n_records` is 14"):
        l0.frontier(homes, targets, n_records=[30, 14], quotas=QUOTAS, **options)


# The parts


def constrained(n=60, seed=0, must=(0, 7), least=0, most=None):
    """A context whose first cell is every third record."""
    of = problems.problem(n=n, m=5, seed=seed)
    flags = np.zeros(n, dtype=bool)
    flags[list(must)] = True
    quotas = [Quota("a", np.arange(0, n, 3), least, most)]
    context = problems.context(of, full_file=True)
    constraints = group_records(flags, quotas, np.arange(n))
    return dataclasses.replace(context, constraints=constraints)


def test_the_probabilities_of_a_draw_obey_the_quotas():
    context = constrained(least=12, most=12)
    size = context.full_file * context.problem.design_weights
    q = draw_probabilities(context, size, 20)
    assert q.sum() == pytest.approx(20) and q[::3].sum() == pytest.approx(12)
    assert q[0] == q[7] == 1
    others = np.setdiff1d(np.arange(0, 60, 3), [0])
    ratios = q[others][q[others] < 1] / size[others][q[others] < 1]
    np.testing.assert_allclose(ratios, ratios[0])


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_the_probabilities_add_up_to_the_number_of_draws(data):
    seed, n = data.draw(st.integers(0, 99)), 60
    rng = np.random.default_rng(seed)
    n_draws = data.draw(st.integers(1, n))
    must = rng.permutation(n)[: data.draw(st.integers(0, n_draws))]
    codes = rng.integers(0, 4, (2, n))
    flags = np.zeros(n, dtype=bool)
    flags[must] = True
    quotas = [
        Quota(f"{row}{level}", np.flatnonzero(codes[row] == level), least, least + 3)
        for row in range(2)
        for level in range(4)
        for least in [data.draw(st.integers(0, 12))]
    ]
    constraints = group_records(flags, quotas, np.arange(n))
    context = dataclasses.replace(problems.context(problems.problem(n=n, m=3)),
                                  constraints=constraints)  # fmt: skip
    q = draw_probabilities(context, rng.lognormal(0, 2, n), n_draws)
    assert q.sum() == pytest.approx(n_draws, abs=1e-6)
    assert (q[must] == 1).all() and q.min() >= 0 and q.max() <= 1
    assert (q > 0).all() or len(must) == n_draws


def test_a_second_draw_takes_what_is_left():
    context = constrained(least=12, most=12)
    chosen = np.array([0, 3, 6, 9, 1])
    rest = np.setdiff1d(np.arange(60), chosen)
    q = draw_probabilities(context, np.ones(60), 15, 0, rest, chosen)
    assert q.sum() == pytest.approx(15) and q[::3].sum() == pytest.approx(8)
    assert q[7] == 1 and not q[chosen].any()


def test_a_partial_draw_takes_its_part():
    q = draw_probabilities(constrained(least=12, most=12), np.ones(60), 10, 10)
    assert q[::3].sum() == pytest.approx(6)


def test_the_records_of_a_group_are_in_a_row():
    order = group_order(constrained(), np.arange(59, -1, -1))
    np.testing.assert_array_equal(order % 3 == 0, [False] * 40 + [True] * 20)
    assert order[0] == 59 and order[40] == 57


def test_a_selection_that_obeys_stays_as_it_is():
    context = constrained(least=2, most=4)
    selection = Selection(np.array([0, 3, 7, 8]), np.ones(4), 0.1)
    assert obey(context, selection) is selection
    assert obey(problems.context(context.problem), selection) is selection


def test_the_lightest_leave_and_the_others_take_their_weight():
    context = constrained(must=(), most=2)
    records = np.array([0, 3, 6, 7, 8])
    w0 = context.problem.design_weights
    base = np.array([300, 100, 200, 150, 150]) / w0[records]
    changed = obey(context, Selection(records, base, 0.1))
    assert set(changed.records[changed.records % 3 == 0]) == {0, 6}
    weights = changed.base * w0[changed.records]
    assert weights[changed.records % 3 == 0].tolist() == pytest.approx([360, 240])
    assert weights[changed.records % 3 > 0].sum() == pytest.approx(300)
    assert changed.mu == 0.1 and len(changed.records) == 5


def test_a_record_that_must_be_kept_represents_itself():
    context = constrained(must=(5,))
    changed = obey(context, Selection(np.array([0, 3]), np.array([30.0, 30.0]), 0.1))
    assert 5 in changed.records
    assert changed.base[changed.records == 5] == context.full_file[5]


def test_swaps_for_bare_targets_obey_too():
    A = np.kron(np.eye(3), np.ones((1, 4)))
    problem = CalibrationProblem.from_matrix(A, [40, 40, 2], np.full(12, 10.0))
    must = np.zeros(12, dtype=bool)
    must[0] = True
    # Record 0 is the lightest, and must stay. One of 5 and 9 is chosen: 8 can replace 4 alone.
    quotas = [Quota("a", np.array([5, 9]), 1, 1)]
    context = dataclasses.replace(
        problems.context(problem), constraints=group_records(must, quotas, np.arange(12))
    )
    base = np.array([0.1, 2, 1, 2])
    records = np.array([0, 1, 4, 5])
    assert cover(context, Selection(records, base, 0.1)).records.tolist() == [0, 1, 5, 8]
    # Without the records of the third target, it stays bare.
    quotas = [Quota("a", np.array([1, 5, 4, 8]), 3, None), Quota("b", np.arange(8, 11), 0, 0)]
    context = dataclasses.replace(context, constraints=group_records(must, quotas, np.arange(12)))
    selection = Selection(records, base, 0.1)
    assert cover(context, selection).records.tolist() == [0, 1, 4, 5]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_swaps_obey_whatever_the_quotas(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    n, k = 60, data.draw(st.integers(3, 20))
    problem = problems.problem(n=n, m=15, density=0.06, seed=data.draw(st.integers(0, 9)))
    records = np.sort(rng.permutation(n)[:k])
    must = np.zeros(n, dtype=bool)
    must[records[: data.draw(st.integers(0, 2))]] = True
    codes = rng.integers(0, 3, (2, n))
    quotas = []
    for row, level in np.ndindex(2, 3):
        number = int((codes[row, records] == level).sum())
        slack = data.draw(st.integers(0, 2))
        members = np.flatnonzero(codes[row] == level)
        quotas.append(Quota(f"{row}{level}", members, max(number - slack, 0), number + slack))
    constraints = group_records(must, quotas, np.arange(n))
    context = dataclasses.replace(problems.context(problem), constraints=constraints)
    swapped = cover(context, Selection(records, rng.lognormal(0, 1, k), 0.1)).records
    assert constraints.obeyed_by(swapped) and len(set(swapped.tolist())) == k


def test_the_room_counts_what_is_swapped():
    constraints = constrained(must=(0,), least=2, most=2).constraints
    room = Room(constraints, np.array([0, 3, 7, 8]))
    everyone = np.arange(60)
    assert room.may_come(3, everyone).tolist() == list(range(0, 60, 3))
    assert set(room.may_come(7, everyone)) == {i for i in range(60) if i % 3}
    room.replace(3, 6)
    assert room.may_come(6, everyone).tolist() == list(range(0, 60, 3))


def test_the_draw_of_hybrid_takes_all_records_that_must_be_kept():
    homes, targets = survey()
    must = homes["id"].to_numpy()[:28]
    result = calibrate(homes, targets, 30, Hybrid(share=0.2), must_keep=must)
    assert_obeyed(result, homes, 30, must, QUOTAS[:0])


def test_a_record_that_comes_in_was_not_chosen_by_targets():
    context = constrained(must=(5,))
    drawn, order = np.array([True, False]), np.arange(60)
    before = Selection(np.array([0, 3]), np.array([30.0, 20.0]), 0.1, drawn, order)
    changed = obey(context, before)
    assert changed.order is order
    left = changed.drawn[changed.records != 5]
    assert changed.drawn[changed.records == 5].all()
    assert left.tolist() == drawn[np.isin(before.records, changed.records)].tolist()
    assert obey(context, dataclasses.replace(before, drawn=None)).drawn is None
