"""Norms over channels of gated models compute over the open channels."""

import copy

import pytest
import torch
from torch import nn

from l0.networks import Params, Units, load, save, sparsify
from l0.networks.gates.open_channels import OpenChannels
from tests.networks.taught import Rotary, Stream
from tests.networks.training import train


def gated(norm=nn.LayerNorm):
    torch.manual_seed(0)
    model, x = Stream(Rotary(), norm), torch.randn(2, 6, 5)
    return model, sparsify(model, x, Units(20), residual=True), x


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_closed_channels_are_0_and_the_others_are_normed_among_themselves(norm):
    model, sparsifier, x = gated(norm)
    sparsifier.gates[0].alive[[1, 4, 7]] = False
    stays = sparsifier.gates[0].alive
    y = model.norm1(model.first(x))
    assert (y[..., ~stays] == 0).all()
    expected = norm(int(stays.sum()))(model.first(x)[..., stays])
    assert torch.allclose(y[..., stays], expected, atol=1e-6)
    model(x).sum().backward()
    assert (model.norm1.weight.grad[~stays] == 0).all()


def test_copies_and_checkpoints_have_the_open_channels_of_their_own_gates():
    model, sparsifier, x = gated()
    sparsifier.gates[0].alive[:5] = False
    model(x)
    other = copy.deepcopy(model)
    assert isinstance(other.norm1.forward, OpenChannels)
    assert torch.equal(other(x), model(x))
    again, second, _ = gated()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))
    sparsifier.gates[0].alive[:] = True
    assert not torch.equal(other(x), model(x))
    assert second.gates[0].alive.sum() == 7


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_a_training_ends_with_models_that_agree(gates):
    torch.manual_seed(0)
    model, x = Stream(Rotary()).double(), torch.randn(4, 6, 5, dtype=torch.float64)
    sparsifier = sparsify(
        model, x[:2], Params(0.2), residual=True, gates=gates, total_steps=20, round_to=2
    )
    train(model, x, sparsifier, 20)
    small = sparsifier.compact().eval()
    assert small.norm1.normalized_shape[0] in (2, 4, 6, 8, 10)
    assert torch.allclose(small(x), model.eval()(x), atol=1e-10)
    assert sum(p.numel() for p in small.parameters()) <= sparsifier.constraints[0].limit
    rows = {row.name: row.params for row in sparsifier.report(latency=False).layers}
    assert rows["norm1"].after == 2 * small.norm1.normalized_shape[0]


def test_inference_mode_sees_what_is_closed_in_it():
    with torch.inference_mode():
        model, sparsifier, x = gated()
        before = model(x)
        sparsifier.gates[0].alive[:5] = False
        assert not torch.equal(model(x), before)


def test_a_compact_model_has_plain_norms_and_is_saved_with_their_sizes(tmp_path):
    model, x = Stream(Rotary()), torch.randn(2, 6, 5)
    sparsifier = sparsify(model, x, Params(0.1), residual=True)
    small = sparsifier.compact().eval()
    assert "forward" not in vars(small.norm1)
    assert small.norm1.normalized_shape == (len(small.norm1.weight),) < (12,)
    assert torch.allclose(small(x), model.eval()(x), atol=1e-5)
    save(small, tmp_path / "small.pt")
    loaded = load(Stream(Rotary()), tmp_path / "small.pt").eval()
    assert torch.equal(loaded(x), small(x))
