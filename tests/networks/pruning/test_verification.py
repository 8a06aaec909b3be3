"""What is tried out before it gets gates."""

import pytest
import torch
from torch import nn

from l0.networks import Params, sparsify
from l0.networks.pruning.trials import Trials
from tests.networks.taught import Scan


class Fixed(nn.Module):
    """Writes a size into its code; moves the channels of another layer by a fixed number."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 8), nn.Linear(8, 3)
        self.d = nn.Linear(3, 2)

    def forward(self, x):
        x = self.b(self.a(x).view(-1, 6)).roll(3, -1)
        return self.d(self.c(x).relu())


def test_groups_whose_removal_shows_are_left_out_and_named():
    sparsifier = sparsify(Fixed(), torch.randn(4, 4), Params(0.9))
    assert [group.name for group in sparsifier.structure.groups] == ["c"]
    reasons = {left.name: left.reason for left in sparsifier.structure.left_out}
    assert "view(-1, 800)" in reasons["a"]
    assert "order or number" in reasons["b"]


class Scaled(nn.Module):
    """Multiplies the channels of a layer by a parameter of its own, which is normalised."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.c(self.b(self.a(x) * self.scale / self.scale.norm()))


def test_a_parameter_of_no_layer_that_is_normalised_keeps_its_channels():
    structure = sparsify(Scaled(), torch.randn(3, 4), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["b"]
    reasons = {left.name: left.reason for left in structure.left_out}
    assert "parameter or buffer" in reasons["a"]


def test_a_layer_that_stays_for_two_reasons_is_named_once():
    model = nn.Sequential(nn.Linear(5, 6), Scan(), nn.Linear(6, 2))
    left_out = sparsify(model, torch.randn(2, 7, 5), Params(0.9)).structure.left_out
    names = [left.name for left in left_out]
    assert len(set(names)) == len(names)
    reason = next(left.reason for left in left_out if left.name == "1.shared")
    assert "meet each of them; others: they can only be removed together" in reason


class Rotary(nn.Module):
    """Attention whose heads are all turned by the same buffer."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(6, 24), nn.Linear(8, 3)
        self.register_buffer("angle", torch.rand(7, 2))

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (y.unflatten(-1, (-1, 2)).transpose(1, 2) for y in (q, k, v))
        q, k = (y * self.angle.cos() + y.flip(-1) * self.angle.sin() for y in (q, k))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


def test_a_buffer_that_treats_all_heads_alike_does_no_harm():
    torch.manual_seed(0)
    model, x = Rotary().double(), torch.randn(2, 7, 6, dtype=torch.float64)
    sparsifier = sparsify(model, x, Params(0.6))
    (group,) = sparsifier.structure.groups
    assert (group.name, group.n_units) == ("qkv", 4)
    small = sparsifier.compact()
    assert small.qkv.out_features == 12
    assert torch.allclose(model.eval()(x), small.eval()(x))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_size_of_the_outputs_does_not_hide_a_mistake(scale):
    torch.manual_seed(0)
    model = Fixed()
    with torch.no_grad():
        model.d.weight.mul_(scale)
        model.d.bias.mul_(scale)
    groups = sparsify(model, torch.randn(4, 4), Params(0.9)).structure.groups
    assert [group.name for group in groups] == ["c"]


def named(structure):
    return [group.name for group in structure.groups]


def test_convolutions_that_a_gpu_rounds_to_tf32_lose_no_groups(monkeypatch):
    exact = nn.functional.conv2d

    def rounded(x):
        """Keep ten bits of the mantissa."""
        return (x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)

    def on_a_gpu(x, weight, *others):
        """Take tensor cores for some numbers of channels, as kernels of GPUs do."""
        if torch.backends.cudnn.allow_tf32 and x.shape[1] % 4 == 0:
            return exact(rounded(x), rounded(weight), *others)
        return exact(x, weight, *others)

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3)
    )
    monkeypatch.setattr(nn.functional, "conv2d", on_a_gpu)
    assert named(sparsify(model, torch.randn(2, 3, 9, 9), Params(0.5)).structure) == ["0", "2"]
    assert torch.backends.cudnn.allow_tf32


def test_autocast_around_the_call_hides_no_mistake():
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert named(sparsify(Fixed(), torch.randn(4, 4), Params(0.9)).structure) == ["c"]


def test_groups_that_pass_together_are_tried_once(monkeypatch):
    tried, failure = [], Trials.failure

    def counted(self, groups):
        tried.append(len(groups))
        return failure(self, groups)

    monkeypatch.setattr(Trials, "failure", counted)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    sparsifier = sparsify(model, torch.randn(4, 4), Params(0.9))
    assert len(sparsifier.structure.groups) == 2
    assert tried == [2]
