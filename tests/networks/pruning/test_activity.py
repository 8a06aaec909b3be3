"""How active the inputs of layers are."""

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Params, Units, sparsify
from l0.networks.pruning.activity import Activity
from tests.networks.nets import NETS
from tests.networks.training import make


@pytest.mark.parametrize("cuts", [[100], [1, 99], [40, 20, 40]])
def test_batches_of_any_size_give_the_mean_squares_of_all_examples(cuts):
    torch.manual_seed(0)
    model, x = NETS["resnet"][0](), torch.randn(100, 3, 12, 12)
    activity = Activity(model, {"0": 1, "3.conv1": 1, "8": -1})
    for batch in x.split(cuts):
        activity.observe(batch)
    found = activity.mean_squares()
    assert torch.allclose(found["0"], x.double().square().mean((0, 2, 3)))
    with torch.no_grad():
        model.eval()
        hidden, last = model[:3](x), model[:8](x)
    assert torch.allclose(found["3.conv1"], hidden.double().square().mean((0, 2, 3)), rtol=1e-4)
    assert torch.allclose(found["8"], last.double().square().mean(0), rtol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_observing_changes_nothing_but_the_next_cut(name):
    model, inputs = make(name)
    model.train()
    sparsifier = sparsify(model, inputs, Params(0.6))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sparsifier.observe(inputs)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())
    small = sparsifier.compact()
    with torch.no_grad():
        assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)


def test_a_unit_that_is_never_active_goes_first():
    model, inputs = make("mlp")
    x = torch.randn(50, 12, dtype=torch.float64)
    with torch.no_grad():
        model[0].bias[3] = -1000  # after the ReLU, nothing is left of this unit
        model[2].weight[:, 3] = 10  # so that its weights alone say the contrary
    kept = []
    for batches in ([], [x[:25], x[25:]]):
        sparsifier = sparsify(make("mlp")[0], inputs, Units(25))
        sparsifier.model.load_state_dict(
            {**sparsifier.model.state_dict(), **_renamed(model, sparsifier.model)}
        )
        for batch in batches:
            sparsifier.observe(batch)
        kept.append(sparsifier.planned())
    assert kept[0][3]
    assert not kept[1][3]
    assert int(kept[1].sum()) == 25


def _renamed(plain, gated):
    """The parameters of a plain model under the names that they have in its gated copy."""
    state = plain.state_dict()
    names = {key.replace("parametrizations.", "").replace(".original", ""): key
             for key in gated.state_dict()}  # fmt: skip
    return {names[key]: value for key, value in state.items()}


def test_it_is_for_a_cut_without_training():
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.5))
    with pytest.raises(InputError, match="`batch` makes 2 read values that are infinite or NaN"):
        sparsifier.observe(inputs * torch.nan)
    sparsifier.step()
    with pytest.raises(InputError, match="`observe` is for a cut without training"):
        sparsifier.observe(inputs)
    model, inputs = make("mlp")
    with pytest.raises(InputError, match="single weights"):
        sparsify(model, inputs, Params(0.5), granularity="weight").observe(inputs)


def test_a_batch_that_does_not_run_is_named():
    model = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 2))
    sparsifier = sparsify(model, torch.ones(2, 5), Units(3))
    with pytest.raises(InputError, match="`batch` does not run through the model: RuntimeError"):
        sparsifier.observe(torch.ones(2, 6))
