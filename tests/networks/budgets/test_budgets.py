"""What may be asked for."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.networks import Budget, Macs, Params, Units, sparsify
from tests.networks.training import make, measured, train


@given(total=st.integers(1, 10**9), share=st.floats(1e-3, 1))
@example(total=333_936_667, share=0.0625)
@example(total=100, share=0.29)
def test_a_share_is_the_largest_whole_cost_within_it(total, share):
    limit = Params(share).limit(total)
    assert limit <= Fraction(str(share)) * total < limit + 1
    assert Params(total + 0.5).limit(10) == (total if total > 1 else 1)


@pytest.mark.parametrize("shares", [(0.3, 0.9), (0.9, 0.3), (0.4, 0.4)])
def test_several_budgets_are_all_held(shares):
    model, inputs = make("lenet")
    budget = [Params(shares[0]), Macs(shares[1])]
    before = measured(model, inputs, "params"), measured(model, inputs, "macs")
    sparsifier = sparsify(model, inputs, budget, total_steps=10)
    train(model, inputs, sparsifier, 10)
    report = sparsifier.report(latency=False)
    assert [row.name for row in report.budgets] == ["parameters", "multiply-adds"]
    small = sparsifier.compact()
    assert measured(small, inputs, "params") <= shares[0] * before[0]
    assert measured(small, inputs, "macs") <= shares[1] * before[1]


def test_several_budgets_for_a_layer():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, {"conv2": [Units(4), Macs(0.5)], "fc1": Units(6)})
    small = sparsifier.compact()
    assert small.conv2.out_channels <= 4
    assert small.fc1.out_features <= 6
    assert [str(c) for c in sparsifier.constraints] == [
        "units of conv2",
        "multiply-adds of conv2",
        "units of fc1",
    ]


def test_a_budget_without_a_measure_is_refused():
    with pytest.raises(InputError, match=r"`budget` Budget\(amount=0.5\) has no measure"):
        Budget(0.5)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ([], "`budget` must be one of Params, .* a list of them"),
        ([Params(0.5), 0.5], "`budget` must be one of"),
        ("Params", "`budget` must be one of"),
        ({}, "`budget` is empty"),
        ({"fc1": []}, r"`budget\['fc1'\]` must be one of"),
        ([Params(0.5), Macs(0.5), Params(100)], "`budget` names 'parameters' more than once"),
    ],
)
def test_bad_budgets(budget, message):
    model, inputs = make("lenet")
    with pytest.raises(InputError, match=message):
        sparsify(model, inputs, budget)
