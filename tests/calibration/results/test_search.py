import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.search import CLOSE, Search, checked_limits, smallest_budget
from l0.common.errors import InputError


@given(
    known=st.dictionaries(st.integers(1, 5_000), st.booleans(), min_size=1, max_size=5),
    draw=st.randoms(use_true_random=False),
)
def test_whatever_the_errors_do_the_promise_holds(known, draw):
    tried = dict(known)

    def meets(budget):
        assert budget not in tried  # each is solved once
        tried[budget] = draw.random() < 0.5
        return tried[budget]

    found = smallest_budget(known, meets, 5_000)
    assert all(1 <= budget <= 5_000 for budget in tried)
    if found is None:
        assert not any(tried.values())
        assert 5_000 in tried
        return
    budget, below = found
    assert budget == min(each for each, met in tried.items() if met)
    assert below == max((each for each in tried if each < budget), default=0)
    assert below == budget - 1 or CLOSE * below >= budget


@given(least=st.integers(1, 5_000), start=st.integers(1, 5_000))
def test_where_errors_fall_at_each_step_the_smallest_is_between_the_two(least, start):
    found = smallest_budget({start: start >= least}, lambda budget: budget >= least, 5_000)
    budget, below = found
    assert below < least <= budget


def row(budget, loss, untargeted=0.5):
    return {
        "n_records": budget, "loss": loss, "untargeted_capped_error": untargeted,
        "n_candidates": 100, "n_forced_out": 10,
    }  # fmt: skip


def test_budgets_that_cannot_be_chosen_are_named_where_none_is_within_the_limits():
    def solve(budgets):
        if budgets[0] > 50:
            raise InputError("too many for the quotas")
        return [(row(budgets[0], 0.5), [])]

    search = Search(solve, checked_limits(max_loss=0.1), {40: row(40, 0.4)}, {})
    text = (
        r"no budget up to 90 records is within `max_loss=0.1`; the best .* a loss of 0.4 with 40 "
        r"records; .* \(80 records cannot be chosen: too many for the quotas\)"
    )
    with pytest.raises(InputError, match=text):
        search.run()


def test_two_limits_that_are_met_one_by_one_only_are_both_named():
    rows = {90: row(90, 0.4, 0.1), 40: row(40, 0.1, 0.4)}
    search = Search(None, checked_limits(max_untargeted=0.2, max_loss=0.2), rows, {})
    text = (
        "is within `max_untargeted=0.2` and `max_loss=0.2`; .* an untargeted error of 0.1 with 90 "
        "records and a loss of 0.1 with 40 records"
    )
    with pytest.raises(InputError, match=text):
        search.run()


def test_it_is_an_error_too_if_no_budget_can_be_chosen_alone():
    def solve(budgets):
        raise InputError("not alone")

    search = Search(solve, checked_limits(max_loss=0.2), {90: row(90, 0.1)}, {}, alone=False)
    with pytest.raises(InputError, match=r"raise the limit.* \(90 records .*: not alone\)"):
        search.run()
