"""Noise that hides nothing."""

import pytest
import torch
from torch import nn

from l0.networks.pruning.noise import add_noise, noisy_inputs


def test_noise_keeps_masks_and_moves_zeros():
    mask, zeros, tokens = torch.tensor([[0.0, 1], [1, 1]]), torch.zeros(3, 4), torch.arange(4)
    far = torch.tensor([0.0, -1e9])
    found = noisy_inputs({"mask": mask, "zeros": [zeros], "tokens": tokens, "far": far})
    assert torch.equal(found["mask"], mask) and torch.equal(found["tokens"], tokens)
    assert torch.equal(found["far"], far)
    assert found["zeros"][0].std() > 0.3
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    nn.init.zeros_(model[0].weight)
    add_noise(model)
    assert model[0].weight.std() > 0.1
    assert model[1].running_mean.any()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-1e30, torch.float32), (300, torch.float16), (1e30, torch.complex64)],
)
def test_noise_of_large_numbers_is_finite(value, dtype):
    """A mask may be a parameter; its squares, or their sum, are too large for its precision."""
    model = nn.Module()
    model.mask = nn.Parameter(torch.full((300, 300), value, dtype=dtype))
    add_noise(model)
    assert model.mask.isfinite().all()
    assert 0.4 * abs(value) < (model.mask - value).real.double().std() < 0.6 * abs(value)


def test_infinite_entries_of_a_mask_leave_the_noise_of_the_others_finite():
    model = nn.Module()
    mask = torch.full((6, 6), -torch.inf).triu(1)
    model.mask = nn.Parameter(mask.clone())
    add_noise(model)
    assert (model.mask.isfinite() == mask.isfinite()).all()
    assert not model.mask.isnan().any()
    assert (model.mask != mask)[mask.isfinite()].all()
