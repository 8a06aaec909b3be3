"""Closing units for a budget."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.networks import sparsify
from l0.networks.budgets.budgets import Macs, Params, Units, constraints
from l0.networks.graph.dependencies import find_units
from l0.networks.pruning.closing import Closing
from tests.networks.nets import NETS


@given(seed=st.integers(0, 10**6), limit=st.integers(2, 26))
@settings(max_examples=20, deadline=None)
def test_as_few_as_needed_the_least_open_first_and_one_stays_in_every_group(seed, limit):
    generator = torch.Generator().manual_seed(seed)
    model, inputs = (make() for make in NETS["mlp"])
    structure = find_units(model, inputs)
    (constraint,) = constraints(Units(limit), model, structure)
    closing = Closing(model, structure.groups)
    n_units = constraint.cost.n_units
    alive = torch.ones(n_units, dtype=torch.bool)
    z = torch.rand(n_units, generator=generator, dtype=torch.float64)
    left = closing.remaining(constraint, alive, z, limit)
    assert int(left.sum()) == limit
    stays = closing.protected(alive, z)
    assert left[stays].all()
    free = left & ~stays
    if free.any() and (~left).any():
        assert z[free].min() >= z[~left].max()


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(["mlp", "lenet", "resnet", "transformer"]),
    share=st.floats(0.1, 1),
)
@settings(max_examples=20, deadline=None)
def test_no_closed_unit_fits_into_the_budget_any_more(seed, name, share):
    generator = torch.Generator().manual_seed(seed)
    model, inputs = (make() for make in NETS[name])
    structure = find_units(model, inputs)
    asked = [Params(share), Macs(min(1, 1.2 * share))]
    found = constraints(asked, model, structure)
    closing = Closing(model, structure.groups)
    z = torch.rand(found[0].cost.n_units, generator=generator, dtype=torch.float64)
    alive = able = torch.ones_like(z, dtype=torch.bool)
    for constraint in found:
        alive = closing.remaining(constraint, alive, z, constraint.limit)
    if any(float(c.cost(alive)) > c.limit for c in found):  # one unit stays in every group
        return
    left = closing.refilled(found, alive, able, z)
    assert left[alive].all()
    assert all(float(c.cost(left)) <= c.limit for c in found)
    for unit in (~left).nonzero().flatten():
        more = left.clone()
        more[unit] = True
        assert any(float(c.cost(more)) > c.limit for c in found)
    assert torch.equal(closing.refilled(found, alive, alive, z), alive)


@pytest.mark.parametrize("seed", range(5))
def test_a_layer_that_selects_still_reads_something_at_the_smallest_budget(seed):
    torch.manual_seed(seed)
    model, inputs = (make() for make in NETS["lenet"])
    sparsifier = sparsify(model, inputs, Units(4), inputs="fc1")
    with torch.no_grad():
        for gate in sparsifier.gates:
            gate.gate.v.uniform_(0.3, 1.2)
    small = sparsifier.compact().eval()
    assert int(sparsifier.gates.alive().sum()) == 4
    assert torch.allclose(model.eval()(inputs), small(inputs), atol=1e-6)


def test_channels_that_nobody_selects_are_closed():
    model, inputs = (make() for make in NETS["lenet"])
    sparsifier = sparsify(model, inputs, Units(100), inputs="fc1")
    with torch.no_grad():
        sparsifier.gates[-1].gate.v[9:27] = 0  # all that the second and third channel give
    small = sparsifier.compact().eval()
    assert small.conv2.out_channels == 6
    assert torch.allclose(model.eval()(inputs), small(inputs), atol=1e-6)
