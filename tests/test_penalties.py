import copy
import inspect
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal, weight_norm

import l0
from l0.calibration import SparseCalibrationWeights
from l0.hadamard import HadamardGate
from l0.hard_concrete import HardConcrete
from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear, SparseMLP
from l0.networks.gates.gating import GatedEntries
from l0.networks.gates.hadamard import HadamardUnits
from l0.penalties import (
    compute_l0_penalty,
    compute_l0l2_penalty,
    compute_l2_penalty,
    get_active_parameter_count,
    get_sparsity_stats,
)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def network():
    """One layer of every kind, gates that differ, and a layer without gates."""
    model = nn.Sequential(
        L0Conv2d(3, 4, 3, padding=1),
        L0Conv2d(4, 6, (3, 2), structured=True),
        L0DepthwiseConv2d(6, 3),
        nn.Flatten(),
        nn.Sequential(L0Linear(18, 5), nn.LayerNorm(5)),
        nn.Linear(5, 2),
    )
    with torch.no_grad():
        for gates in gates_of(model):
            gates.qz_logits.normal_()
    return model


def gates_of(model):
    return [module for module in model.modules() if isinstance(module, HardConcrete)]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("l0.distributions", ["HardConcrete"]),
        ("l0.sparse", ["SparseL0Linear"]),
        (
            "l0.penalties",
            [
                "PenaltyTracker",
                "TemperatureScheduler",
                "compute_l0_penalty",
                "compute_l0l2_penalty",
                "compute_l2_penalty",
                "get_active_parameter_count",
                "get_sparsity_stats",
                "update_temperatures",
            ],
        ),
    ],
)
def test_names_are_where_0_6_had_them(module, names):
    for name in names:
        assert getattr(import_module(module), name) is getattr(l0, name)


def test_signatures_of_0_6():
    parameters = inspect.signature(compute_l0l2_penalty).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "model": inspect.Parameter.empty,
        "l0_lambda": 1e-3,
        "l2_lambda": 1e-4,
    }


# The L0 penalty


def test_l0_penalty_is_the_expected_number_of_open_gates():
    model = network()
    gates = gates_of(model)
    penalty = compute_l0_penalty(model)
    assert penalty.shape == () and penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, sum(g.get_active_prob().sum() for g in gates))
    penalty.backward()
    for g in gates:
        p = g.get_active_prob().detach()
        torch.testing.assert_close(g.qz_logits.grad, p * (1 - p))


def test_l0_penalty_of_a_layer_is_its_own():
    layer = L0Linear(3, 2)
    assert compute_l0_penalty(layer) == layer.get_l0_penalty()


def test_a_layer_under_two_names_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = L0Linear(4, 4)
            self.decoder = self.encoder
            self.again = nn.ModuleList([self.encoder])

    model = Tied()
    assert compute_l0_penalty(model) == model.encoder.get_l0_penalty()
    assert list(get_sparsity_stats(model)) == ["encoder"]
    assert get_active_parameter_count(model) == round(model.encoder.get_l0_penalty().item())
    torch.testing.assert_close(compute_l2_penalty(model), model.encoder.weight.square().sum())


class Block(nn.Module):
    """A module that adds up the penalties inside it, as its own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def get_l0_penalty(self):
        return 3 * self.layer.get_l0_penalty()

    def get_sparsity(self):
        return self.layer.get_sparsity()


@pytest.mark.parametrize("order", [1, -1])
def test_a_module_answers_for_what_is_inside_it(order):
    layer, other = L0Linear(4, 3), L0Linear(2, 2)
    model = nn.Sequential(*[nn.Sequential(Block(layer)), layer, other][::order])
    expected = 3 * layer.get_l0_penalty() + other.get_l0_penalty()
    torch.testing.assert_close(compute_l0_penalty(model), expected)
    assert {row["total_params"] for row in get_sparsity_stats(model).values()} == {12, 4}
    assert len(get_sparsity_stats(model)) == 2


def test_models_that_are_no_layers_count_too():
    model = nn.ModuleDict({"layer": L0Linear(3, 2), "weights": SparseCalibrationWeights(5)})
    torch.testing.assert_close(
        compute_l0_penalty(model),
        model["layer"].get_l0_penalty() + model["weights"].get_l0_penalty(),
    )
    row = get_sparsity_stats(model)["weights"]
    assert row["active_params"] == model["weights"].get_l0_penalty().item()
    assert row["total_params"] == 5


# The L2 penalty


def test_l2_penalty_is_the_sum_of_the_squared_weights():
    model = network()
    weights = [
        parameter for name, parameter in model.named_parameters() if name.endswith(".weight")
    ]
    assert len(weights) == 6  # four gated layers, the norm, the plain layer
    penalty = compute_l2_penalty(model)
    torch.testing.assert_close(penalty, sum(w.square().sum() for w in weights))
    penalty.backward()
    for parameter in model.parameters():
        if any(parameter is weight for weight in weights):
            torch.testing.assert_close(parameter.grad, 2 * parameter)
        else:
            assert parameter.grad is None


def test_l2_penalty_leaves_gates_alone():
    """0.6.2 took `weight_gates.qz_logits` for a weight."""

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight_gates = HadamardGate(3)
            self.weights = nn.ModuleList([HardConcrete(4, init_mean=0.9)])

    assert compute_l2_penalty(Gated()) == 0


def test_l2_penalty_takes_weights_of_any_name_and_no_frozen_ones():
    model = nn.Sequential(nn.GRU(3, 2), nn.MultiheadAttention(4, 2), nn.Linear(3, 3))
    model[2].weight.requires_grad_(False)
    gru, attention, _ = model
    weights = [
        gru.weight_ih_l0,
        gru.weight_hh_l0,
        attention.in_proj_weight,
        attention.out_proj.weight,
    ]
    torch.testing.assert_close(compute_l2_penalty(model), sum(w.square().sum() for w in weights))


PARAMETRIZED = {
    "weight norm": weight_norm,
    "orthogonal": orthogonal,
    "gates": lambda layer: parametrize.register_parametrization(
        layer, "weight", GatedEntries(HadamardUnits(6, start_open=False))
    ),
}


@pytest.mark.parametrize("wrap", PARAMETRIZED.values(), ids=PARAMETRIZED)
def test_l2_penalty_takes_a_parametrized_weight_as_the_layer_uses_it(wrap):
    model = nn.Sequential(wrap(nn.Linear(3, 2)), nn.Linear(2, 2))
    model.append(model[0])
    expected = model[0].weight.square().sum() + model[1].weight.square().sum()
    with torch.no_grad():
        torch.testing.assert_close(compute_l2_penalty(model), expected.detach())
    compute_l2_penalty(model).backward()
    found = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    expected.backward()
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_l2_penalty_of_other_parametrized_or_frozen_parts_is_none():
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    parametrize.register_parametrization(layer, "bias", nn.ReLU())
    assert compute_l2_penalty(layer) == 0
    assert compute_l2_penalty(weight_norm(nn.Linear(3, 2)).requires_grad_(False)) == 0


@given(st.floats(0, 10), st.floats(0, 10))
@settings(deadline=None, max_examples=20)
def test_l0l2_penalty_weighs_both(l0_lambda, l2_lambda):
    model = SparseMLP(4, 3, 2)
    torch.testing.assert_close(
        compute_l0l2_penalty(model, l0_lambda, l2_lambda),
        l0_lambda * compute_l0_penalty(model) + l2_lambda * compute_l2_penalty(model),
    )
    torch.testing.assert_close(
        compute_l0l2_penalty(model),
        1e-3 * compute_l0_penalty(model) + 1e-4 * compute_l2_penalty(model),
    )


# Numbers, devices


@pytest.mark.parametrize("penalty", [compute_l0_penalty, compute_l2_penalty, compute_l0l2_penalty])
def test_a_model_without_any_has_none(penalty):
    model = nn.Sequential(nn.PReLU(), nn.Flatten())
    model[0].weight.requires_grad_(False)
    for bare in (nn.ReLU(), model):
        assert penalty(bare).shape == () and penalty(bare) == 0
    assert penalty(model.to("meta")).device.type == "meta"


@pytest.mark.parametrize("penalty", [compute_l0_penalty, compute_l2_penalty])
def test_penalties_are_on_the_device_of_the_model(penalty):
    assert penalty(network().to("meta")).device.type == "meta"


@pytest.mark.parametrize("penalty", [compute_l0_penalty, compute_l2_penalty, compute_l0l2_penalty])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_penalties_of_other_precisions(penalty, dtype):
    model = network()
    expected = penalty(model)
    found = penalty(copy.deepcopy(model).to(dtype))
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0)


def test_sums_do_not_overflow_in_half_precision():
    layer = L0Linear(400, 400, use_l2=True).half()
    layer.weight.data.fill_(1)
    assert compute_l2_penalty(layer) == layer.get_l2_penalty() == 160_000


@pytest.mark.parametrize("penalty", [compute_l0_penalty, compute_l2_penalty, compute_l0l2_penalty])
def test_penalties_compile_without_a_break(penalty):
    torch._dynamo.reset()
    model = network()
    compiled = torch.compile(lambda: penalty(model), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(), penalty(model))


# Statistics


def test_statistics_of_each_layer():
    model = network()
    stats = get_sparsity_stats(model)
    assert list(stats) == ["0", "1", "2", "4.0"]
    weights = [model[0].weight, model[1].weight, model[2].depthwise_conv.weight, model[4][0].weight]
    for row, weight, gates in zip(stats.values(), weights, gates_of(model), strict=True):
        assert list(row) == ["sparsity", "active_params", "total_params"]
        assert type(row["sparsity"]) is type(row["active_params"]) is float
        assert type(row["total_params"]) is int
        assert row["total_params"] == weight.numel()
        assert row["sparsity"] == gates.get_sparsity()
        # The channel of a structured layer counts with all its weights.
        assert row["active_params"] == pytest.approx((1 - row["sparsity"]) * weight.numel())


def test_active_parameters_are_the_weights_that_samples_leave():
    model = network()
    layers = [model[0], model[1], model[4][0]]
    drawn = [
        sum(int((layer._gated(layer.weight) != 0).sum()) for layer in layers) for _ in range(300)
    ]
    drawn = torch.tensor(drawn, dtype=torch.float64)
    expected = get_active_parameter_count(nn.ModuleList(layers))
    assert expected == pytest.approx(drawn.mean().item(), abs=5 * drawn.std().item() / 300**0.5)


def test_active_parameter_count_is_rounded_once():
    model = nn.Sequential(*[L0Linear(1, 1) for _ in range(10)])  # 0.77 each
    count = get_active_parameter_count(model)
    assert type(count) is int
    assert count == 8 == round(compute_l0_penalty(model).item())
    assert get_active_parameter_count(nn.Linear(3, 3)) == 0


def test_statistics_leave_no_graph_and_draw_nothing():
    model, state = network(), torch.get_rng_state()
    get_sparsity_stats(model)
    get_active_parameter_count(model)
    compute_l0l2_penalty(model)
    assert torch.equal(state, torch.get_rng_state())


def test_statistics_count_a_parametrized_weight():
    layer = weight_norm(L0Linear(4, 3))
    assert get_sparsity_stats(layer)[""]["total_params"] == 12
