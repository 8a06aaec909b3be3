"""Random draws that repeat at every width."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.networks.graph.draws import alike_draws


def test_draws_are_alike_at_every_width_and_leave_the_generators_alone():
    def drawn(n):
        drop = nn.Dropout(0.3)
        x = torch.ones(2, n)
        with alike_draws({torch.device("cpu")}):
            return [
                torch.rand(2, n), torch.randn(n, 2).T, torch.randn_like(x), drop(x),
                torch.empty(2, n).uniform_(3, 4), torch.empty(2, n).normal_(5, 0.1),
                torch.distributions.Normal(x, x).sample(), torch.bernoulli(x / 2),
                x + random.random() + np.random.rand(), x * torch.randint(9, (1,)),  # noqa: NPY002
            ]  # fmt: skip

    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    for narrow, wide in zip(drawn(3), drawn(40), strict=True):
        assert torch.equal(narrow, wide[:, :3])
    assert drawn(3)[4].min() >= 3 and not torch.equal(drawn(3)[1], drawn(3)[2])
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert (state[2] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_what_numbers_or_tensors_describe_is_drawn_alike():
    def drawn(n):
        x = torch.full((2, n), 0.25)
        with alike_draws({torch.device("cpu")}):
            return [
                torch.normal(3.0, 0.1, size=(2, n)), torch.normal(x), torch.normal(x, 2.0),
                torch.normal(1.0, x), torch.normal(x, x), torch.empty(2, n).exponential_(2.0),
                torch.nn.functional.gumbel_softmax(x.T, dim=1).T, torch.bernoulli(x, 0.5),
            ]  # fmt: skip

    found = drawn(3)
    for narrow, wide in zip(found, drawn(40), strict=True):
        assert torch.equal(narrow, wide[:, :3])
    assert (found[0] - 3).abs().max() < 1 and (found[5] > 0).all()
    assert (found[1] != 0.25).all() and torch.equal(found[7], torch.ones(2, 3))


@pytest.mark.parametrize(
    "draw",
    [
        torch.poisson, torch._standard_gamma, lambda x: torch.binomial(8 * x.ceil(), x),
        lambda x: F.rrelu(-x), lambda x: F.rrelu(x - 0.5, training=True),
        lambda x: F.rrelu(-x, 0.1, 0.3, training=True, inplace=True),
    ],
    ids=["poisson", "gamma", "binomial", "leaky", "rrelu", "in place"],
)  # fmt: skip
def test_what_is_drawn_for_each_entry_is_drawn_alike(draw):
    x = torch.rand(2, 40)

    def drawn(n):
        with alike_draws({torch.device("cpu")}):
            return draw(x[:, :n].clone())

    assert torch.equal(drawn(3), drawn(40)[:, :3])
    assert drawn(40).isfinite().all() and len(drawn(40).unique()) > 1


def test_slopes_of_rrelu_are_between_its_limits():
    with alike_draws({torch.device("cpu")}):
        slopes = [float(-F.rrelu(-torch.ones(1), 0.2, 0.4, training=True)) for _ in range(20)]
        fixed = float(-F.rrelu(-torch.ones(1), 0.2, 0.4))
    assert 0.2 <= min(slopes) < max(slopes) <= 0.4
    assert fixed == pytest.approx(0.3)


def test_devices_that_have_no_part_in_a_model_are_left_alone(monkeypatch):
    def touched(*_, **__):
        raise AssertionError("a GPU was seeded")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    with alike_draws({torch.device("cpu")}):
        assert torch.rand(2).shape == (2,)
        torch.randint(9, (1,))
