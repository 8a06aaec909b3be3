import copy
import inspect
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from torch import nn
from torch.nn import functional as F

from l0.hard_concrete import HardConcrete, hard_concrete
from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear, SparseMLP, prune_model

REQUIRED = inspect.Parameter.empty
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

ROWS, IMAGES = (7, 5), (2, 8, 9, 8)

#: One of each kind, and the shape of an input.
LAYERS = {
    "linear": (lambda: L0Linear(5, 4, use_l2=True), ROWS),
    "linear without bias": (lambda: L0Linear(5, 4, bias=False), ROWS),
    "conv": (lambda: L0Conv2d(8, 4, (3, 2), 2, (1, 0)), IMAGES),
    "structured": (lambda: L0Conv2d(8, 8, 3, padding="same", structured=True), IMAGES),
    "depthwise": (lambda: L0DepthwiseConv2d(8, 3, (2, 1), 1), IMAGES),
    "depthwise without bias": (lambda: L0DepthwiseConv2d(8, (3, 2), bias=False), IMAGES),
    "mlp": (lambda: SparseMLP(5, 6, 4, use_l2=True), ROWS),
}
each_layer = pytest.mark.parametrize("kind", LAYERS)
each_mode = pytest.mark.parametrize("training", [True, False])


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def make(kind, training=True):
    """A layer with gates and biases that differ, and an input."""
    build, shape = LAYERS[kind]
    layer = build().train(training)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if not name.endswith("weight"):
                parameter.normal_()
    return layer, torch.randn(shape)


def again(function, seed=3):
    """Call with the global generator in a state that can be had once more."""
    torch.manual_seed(seed)
    return function()


def set_logits(gates, values):
    with torch.no_grad():
        gates.qz_logits.copy_(torch.as_tensor(values, dtype=torch.float32).expand(gates.gate_size))


# Signatures and names of 0.6


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            L0Linear,
            {
                "in_features": REQUIRED,
                "out_features": REQUIRED,
                "bias": True,
                "temperature": 0.5,
                "init_sparsity": 0.5,
                "use_l2": False,
            },
        ),
        (
            L0Conv2d,
            {
                "in_channels": REQUIRED,
                "out_channels": REQUIRED,
                "kernel_size": REQUIRED,
                "stride": 1,
                "padding": 0,
                "bias": True,
                "temperature": 0.5,
                "init_sparsity": 0.5,
                "structured": False,
                "use_l2": False,
            },
        ),
        (
            L0DepthwiseConv2d,
            {
                "in_channels": REQUIRED,
                "kernel_size": REQUIRED,
                "stride": 1,
                "padding": 0,
                "bias": True,
                "temperature": 0.5,
                "init_sparsity": 0.5,
            },
        ),
        (
            SparseMLP,
            {
                "input_dim": 784,
                "hidden_dim": 256,
                "output_dim": 10,
                "init_sparsity": 0.5,
                "temperature": 0.5,
                "use_l2": False,
            },
        ),
        (prune_model, {"model": REQUIRED, "threshold": 0.05}),
    ],
)
def test_signatures(function, expected):
    parameters = inspect.signature(function).parameters
    assert [(name, p.default) for name, p in parameters.items()] == list(expected.items())


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (
            L0Linear(5, 4),
            {"weight": (4, 5), "bias": (4,), "weight_gates.qz_logits": (4, 5)},
        ),
        (L0Linear(5, 4, False), {"weight": (4, 5), "weight_gates.qz_logits": (4, 5)}),
        (
            L0Conv2d(3, 4, (5, 2)),
            {"weight": (4, 3, 5, 2), "bias": (4,), "weight_gates.qz_logits": (4, 30)},
        ),
        (
            L0Conv2d(3, 4, 2, bias=False, structured=True),
            {"weight": (4, 3, 2, 2), "channel_gates.qz_logits": (4,)},
        ),
        (
            L0DepthwiseConv2d(3, 2),
            {
                "depthwise_conv.weight": (3, 1, 2, 2),
                "depthwise_conv.bias": (3,),
                "channel_gates.qz_logits": (3,),
            },
        ),
    ],
)
def test_parameters_have_the_names_shapes_and_order_of_0_6(layer, shapes):
    # The order matters to the state of an optimiser.
    assert [(name, tuple(p.shape)) for name, p in layer.named_parameters()] == list(shapes.items())
    assert list(layer.state_dict()) == list(shapes)


def test_the_perceptron_has_three_layers():
    model = SparseMLP(5, 6, 4, 0.3, 0.7, True)
    assert [name for name, _ in model.named_children()] == ["fc1", "fc2", "fc3"]
    assert [(fc.in_features, fc.out_features) for fc in model.children()] == [
        (5, 6),
        (6, 6),
        (6, 4),
    ]
    for fc in model.children():
        assert fc.weight_gates.init_mean == pytest.approx(0.7)
        assert fc.weight_gates.temperature == 0.7
        assert fc.use_l2
    assert SparseMLP().fc1.weight.shape == (256, 784)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (L0Linear(5, 4, temperature=0.3), "weight_gates"),
        (L0Conv2d(3, 4, 3, temperature=0.3), "weight_gates"),
        (L0Conv2d(3, 4, 3, temperature=0.3, structured=True), "channel_gates"),
        (L0DepthwiseConv2d(3, 3, temperature=0.3), "channel_gates"),
    ],
)
def test_gates_get_the_options(layer, name):
    gates = getattr(layer, name)
    assert (gates.temperature, gates.stretch, gates.init_mean) == (0.3, 0.1, 0.5)
    assert {"weight_gates": "channel_gates"}.get(name, "weight_gates") not in dir(layer)


@pytest.mark.parametrize("init_sparsity", [0.01, 0.3, 0.9])
def test_init_sparsity_is_one_minus_init_mean_and_not_the_sparsity(init_sparsity):
    layer = L0Linear(5, 4, temperature=0.4, init_sparsity=init_sparsity)
    torch.testing.assert_close(
        layer.weight_gates.qz_logits.sigmoid(), torch.full((4, 5), 1 - init_sparsity)
    )
    logit = math.log(1 / init_sparsity - 1)
    closed = 1 - expit(logit + 0.4 * math.log(11))
    assert layer.get_sparsity() == pytest.approx(closed, abs=1e-6)
    assert closed < init_sparsity
    assert layer.get_l0_penalty().item() == pytest.approx(20 * (1 - closed))


@pytest.mark.parametrize(
    ("layer", "fan_out"),
    [(L0Linear(40, 300), 300), (L0Conv2d(30, 40, (3, 2)), 240), (L0Conv2d(9, 99, 3), 891)],
)
def test_weights_start_normal_with_variance_2_over_fan_out(layer, fan_out):
    layer.reset_parameters()
    w = layer.weight.detach().double() / math.sqrt(2 / fan_out)
    n = w.numel()
    assert w.mean().item() == pytest.approx(0, abs=5 / math.sqrt(n))
    assert w.var().item() == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    assert w.abs().max() > 2.5  # not uniform
    assert not layer.bias.any()


def test_reset_parameters_spares_the_gates():
    layer, _ = make("linear")
    logits, weight = layer.weight_gates.qz_logits.clone(), layer.weight.clone()
    layer.reset_parameters()
    assert torch.equal(layer.weight_gates.qz_logits, logits)
    assert not torch.equal(layer.weight, weight)
    assert not layer.bias.any()


# Outputs


@each_mode
@given(seed=st.integers(0, 10_000), bias=st.booleans(), temperature=st.floats(0.1, 2))
@settings(deadline=None, max_examples=25)
def test_linear_is_linear_in_the_gated_weight(training, seed, bias, temperature):
    torch.manual_seed(seed)
    layer = L0Linear(5, 4, bias, temperature).train(training)
    x = torch.randn(2, 3, 5)
    z = again(layer.weight_gates)
    torch.testing.assert_close(again(lambda: layer(x)), F.linear(x, layer.weight * z, layer.bias))


@each_mode
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"),
    [
        (3, 1, 0),
        ((3, 2), 2, 1),
        (2, (1, 2), (0, 1)),
        (1, 1, 0),
        (3, 1, "same"),
        ([2, 3], 1, "valid"),
    ],
)
def test_conv_with_a_gate_a_weight_is_conv2d_on_reshaped_gates(
    kernel_size, stride, padding, training
):
    layer = L0Conv2d(8, 4, kernel_size, stride, padding).train(training)
    set_logits(layer.weight_gates, torch.randn(layer.weight_gates.gate_size))
    x = torch.randn(IMAGES)
    z = again(layer.weight_gates).view(layer.weight.shape)
    expected = F.conv2d(x, layer.weight * z, layer.bias, stride, padding)
    torch.testing.assert_close(again(lambda: layer(x)), expected)


@each_mode
def test_structured_conv_multiplies_what_comes_out(training):
    layer, x = make("structured", training)
    z = again(layer.channel_gates).view(-1, 1, 1)
    bias = layer.bias.view(-1, 1, 1)
    plain = F.conv2d(x, layer.weight, padding="same")
    torch.testing.assert_close(again(lambda: layer(x)), plain * z + bias)


@each_mode
@pytest.mark.parametrize("kind", ["depthwise", "depthwise without bias"])
def test_depthwise_conv_multiplies_what_goes_in(kind, training):
    layer, x = make(kind, training)
    z = again(layer.channel_gates).view(-1, 1, 1)
    torch.testing.assert_close(again(lambda: layer(x)), layer.depthwise_conv(x * z))


@pytest.mark.parametrize("kind", ["structured", "depthwise"])
def test_a_closed_channel_gives_its_bias_and_passes_no_gradient_to_its_filter(kind):
    layer, x = make(kind, training=False)
    n = layer.channel_gates.gate_size[0]
    set_logits(layer.channel_gates, [9.0] * (n - 1) + [-9.0])
    y = layer(x)
    holder = getattr(layer, "depthwise_conv", layer)
    torch.testing.assert_close(y[:, -1], holder.bias[-1].expand_as(y[:, -1]))
    assert (y[:, :-1].flatten(2).std(dim=2) > 0.01).all()
    y.sum().backward()
    assert [bool(g.any()) for g in holder.weight.grad] == [True] * (n - 1) + [False]


@each_layer
def test_evaluation_is_deterministic_and_training_is_not(kind):
    layer, x = make(kind)
    assert not torch.equal(layer(x), layer(x))
    state = torch.get_rng_state()
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.5])
def test_the_mean_output_is_that_of_the_mean_gates(temperature):
    layer, x = L0Linear(4, 3, temperature=temperature), torch.randn(2, 4)
    logits = torch.linspace(-2, 2, 12).view(3, 4)
    set_logits(layer.weight_gates, logits)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    noise = torch.logit(u)[:, None, None]
    mean_gates = hard_concrete(logits.double(), noise, temperature, -0.1, 1.1).mean(dim=0)
    expected = F.linear(x, layer.weight * mean_gates.float(), layer.bias)
    n = 3000
    with torch.no_grad():
        y = torch.stack([layer(x) for _ in range(n)])
    assert ((y.mean(dim=0) - expected).abs() <= 5 * y.std(dim=0) / math.sqrt(n)).all()


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind != "mlp"])
def test_a_batch_axis_may_be_left_out(kind):
    layer, x = make(kind, training=False)
    torch.testing.assert_close(layer(x[0]), layer(x)[0])


def test_the_perceptron_flattens_and_composes():
    model = SparseMLP(12, 6, 4).eval()
    x = torch.randn(5, 3, 4)
    h = F.relu(model.fc2(F.relu(model.fc1(x.view(5, 12)))))
    torch.testing.assert_close(model(x), model.fc3(h))
    torch.testing.assert_close(model(x.transpose(1, 2)), model(x.transpose(1, 2).contiguous()))


# Penalties


@each_layer
def test_the_gradient_of_the_penalty_is_p_times_1_minus_p(kind):
    layer, _ = make(kind)
    penalty = layer.get_l0_loss() if kind == "mlp" else layer.get_l0_penalty()
    penalty.backward()
    total = 0.0
    for gates in [m for m in layer.modules() if isinstance(m, HardConcrete)]:
        p = gates.get_active_prob().detach()
        total += p.sum()
        torch.testing.assert_close(gates.qz_logits.grad, p * (1 - p))
    torch.testing.assert_close(penalty.detach(), total)
    assert all(p.grad is None for n, p in layer.named_parameters() if "gates" not in n)


@each_layer
@each_mode
def test_outputs_teach_weights_and_gates(kind, training):
    layer, x = make(kind, training)
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("layer", [L0Linear, L0Conv2d])
def test_the_l2_penalty_is_that_of_the_weight_where_asked_for(layer):
    arguments = (3, 4) if layer is L0Linear else (3, 4, 2)
    plain, asked = layer(*arguments), layer(*arguments, use_l2=True)
    assert plain.get_l2_penalty().shape == () and plain.get_l2_penalty() == 0
    assert plain.half().get_l2_penalty().dtype == torch.float32
    assert layer(*arguments).to("meta").get_l2_penalty().device.type == "meta"
    torch.testing.assert_close(asked.get_l2_penalty(), asked.weight.square().sum())
    asked.get_l2_penalty().backward()
    torch.testing.assert_close(asked.weight.grad, 2 * asked.weight)
    assert asked.weight_gates.qz_logits.grad is None


def test_losses_of_the_perceptron():
    model = SparseMLP(5, 6, 4, use_l2=True)
    layers = list(model.children())
    torch.testing.assert_close(model.get_l0_loss(), sum(fc.get_l0_penalty() for fc in layers))
    torch.testing.assert_close(model.get_l2_loss(), sum(fc.get_l2_penalty() for fc in layers))
    assert SparseMLP(5, 6, 4).get_l2_loss() == 0
    stats = model.get_sparsity_stats()
    assert list(stats) == ["fc1", "fc2", "fc3"]
    assert stats["fc3"] == {
        "sparsity": model.fc3.get_sparsity(),
        "active_params": model.fc3.get_l0_penalty().item(),
        "total_params": 24,
    }


def test_a_trained_layer_finds_the_weights_that_matter():
    truth = torch.zeros(1, 12)
    truth[0, [1, 5, 6]] = torch.tensor([2.0, -1.5, 1.0])
    x = torch.randn(400, 12)
    y = F.linear(x, truth) + 0.1 * torch.randn(400, 1)
    layer = L0Linear(12, 1, init_sparsity=0.05)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(1000):
        optimiser.zero_grad()
        (F.mse_loss(layer(x), y) + 0.3 * layer.get_l0_penalty()).backward()
        optimiser.step()
    assert torch.equal(layer.weight_gates.get_open(), truth != 0)
    prune_model(layer, 0.5)
    assert torch.equal(layer.weight != 0, truth != 0)
    assert F.mse_loss(layer(x), y) < 0.02  # the noise is 0.01


# Pruning


@given(st.floats(0, 1), st.sampled_from([k for k in LAYERS if k != "mlp"]))
@settings(deadline=None, max_examples=40)
def test_pruning_zeroes_what_is_open_at_most_that_often(threshold, kind):
    torch.manual_seed(1)
    layer, _ = make(kind)
    gates = getattr(layer, "weight_gates", None) or layer.channel_gates
    holder = getattr(layer, "depthwise_conv", layer)
    before = {name: p.clone() for name, p in layer.named_parameters()}
    weight = holder.weight.clone().flatten(1)
    keep = gates.get_active_prob() > threshold
    if keep.ndim == 1:
        keep = keep[:, None].expand_as(weight)

    assert prune_model(layer, threshold) is layer
    assert not layer.training
    assert torch.equal(holder.weight.flatten(1), torch.where(keep, weight, 0.0))
    for name, parameter in layer.named_parameters():
        if not name.endswith("weight"):
            assert torch.equal(parameter, before[name])


@each_layer
def test_pruning_below_one_half_leaves_the_outputs(kind):
    layer, x = make(kind, training=False)
    before = layer(x)
    torch.testing.assert_close(prune_model(layer, 0.5)(x), before, rtol=0, atol=0)


@each_layer
def test_pruning_at_the_ends(kind):
    layer, _ = make(kind)
    weights = [p for name, p in layer.named_parameters() if name.endswith("weight")]
    prune_model(layer, 0)
    assert all(w.bool().all() for w in weights)
    prune_model(layer, 1)
    assert not any(w.any() for w in weights)
    assert all(w.requires_grad for w in weights)


def test_pruning_removes_what_went_wrong_too():
    layer = L0Linear(2, 1)
    set_logits(layer.weight_gates, [[-9.0, 9.0]])
    layer.weight.data[0] = torch.tensor([math.nan, 1.0])
    assert prune_model(layer).weight.tolist() == [[0.0, 1.0]]


def test_pruning_goes_through_a_model_and_leaves_other_layers():
    model = nn.Sequential(nn.Linear(5, 5), SparseMLP(5, 6, 4), nn.LayerNorm(4))
    plain = model[0].weight.clone()
    for fc in model[1].children():
        set_logits(fc.weight_gates, -9.0)
    prune_model(model)
    assert torch.equal(model[0].weight, plain) and model[2].weight.all()
    assert not any(fc.weight.any() for fc in model[1].children())


def test_pruning_knows_layers_of_others_by_the_names_of_their_gates():
    class L0Conv1d(nn.Conv1d):
        def __init__(self):
            super().__init__(2, 3, 4)
            self.channel_gates = HardConcrete(3)

    class OnlyGates(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight_gates = HardConcrete(3)

    layer = L0Conv1d()
    set_logits(layer.channel_gates, [9.0, -9.0, 9.0])
    prune_model(nn.Sequential(layer, OnlyGates()))
    assert layer.weight.flatten(1).any(dim=1).tolist() == [True, False, True]


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, math.inf])
def test_a_bad_threshold_changes_nothing(threshold):
    model = SparseMLP(5, 6, 4)
    with pytest.raises(ValueError, match="`threshold` must lie between 0 and 1"):
        prune_model(model, threshold)
    assert model.training


# What torch does with modules


@each_layer
@each_mode
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(kind, training, dtype):
    layer, x = make(kind, training)
    layer.to(dtype)
    y = layer(x.to(dtype))
    assert y.dtype == dtype
    y.sum().backward()
    assert all(p.dtype == dtype and p.grad.isfinite().all() for p in layer.parameters())
    if not training:
        torch.testing.assert_close(y.float(), layer.float()(x), rtol=0.05, atol=0.05)


@each_layer
@pytest.mark.parametrize("device", DEVICES)
def test_devices(kind, device):
    layer, x = make(kind, training=False)
    expected = layer(x)
    y = layer.to(device)(x.to(device))
    assert y.device.type == device
    torch.testing.assert_close(y.cpu(), expected, rtol=1e-3, atol=1e-3)
    assert layer.train()(x.to(device)).isfinite().all()
    prune_model(layer)


@each_layer
def test_a_deep_copy_is_equal_and_independent(kind):
    layer, x = make(kind)
    twin = copy.deepcopy(layer)
    assert torch.equal(again(lambda: layer(x)), again(lambda: twin(x)))
    prune_model(twin, 1)
    assert layer.training and any(p.any() for n, p in layer.named_parameters() if "weight" in n)


@each_layer
def test_a_saved_state_comes_back(kind):
    layer, x = make(kind, training=False)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other, _ = make(kind, training=False)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(layer(x), other(x))


@each_layer
@each_mode
def test_compiles_without_a_break(kind, training):
    torch._dynamo.reset()
    layer, x = make(kind, training)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(again(lambda: compiled(x)), again(lambda: layer(x)))


def test_cooling_does_not_exhaust_the_compiler():
    torch._dynamo.reset()
    layer, x = make("linear", training=False)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    for temperature in np.linspace(1, 0.1, 20):
        layer.weight_gates.temperature = temperature
        torch.testing.assert_close(compiled(x), layer(x))


@each_layer
@each_mode
def test_functional_call(kind, training):
    layer, x = make(kind, training)
    other, _ = make(kind, training)
    y = again(lambda: torch.func.functional_call(layer, dict(other.named_parameters()), (x,)))
    assert torch.equal(y, again(lambda: other(x)))


@each_layer
def test_vmap_over_parameters(kind):
    layers = [make(kind, training=False)[0] for _ in range(3)]
    x = make(kind)[1]
    stacked, _ = torch.func.stack_module_state(layers)
    skeleton = copy.deepcopy(layers[0])

    def call(parameters):
        return torch.func.functional_call(skeleton, parameters, (x,))

    y = torch.func.vmap(call)(stacked)
    torch.testing.assert_close(y, torch.stack([layer(x) for layer in layers]))

    skeleton.train()
    same = {name: p[:1].expand_as(p) for name, p in stacked.items()}
    first, second, _ = torch.func.vmap(call, randomness="different")(same)
    assert not torch.equal(first, second)


@each_layer
@each_mode
def test_replicas_hold_tensors_in_place_of_parameters(kind, training):
    """What torch.nn.parallel.replicate does on every device, by hand."""
    layer, x = make(kind, training)
    copies = {module: module._replicate_for_data_parallel() for module in layer.modules()}
    for module, twin in copies.items():
        for name, child in module.named_children():
            setattr(twin, name, copies[child])
        for name, parameter in module._parameters.items():
            setattr(twin, name, None if parameter is None else parameter.clone())
    replica = copies[layer]
    assert not list(replica.parameters())
    y = again(lambda: replica(x))
    assert torch.equal(y, again(lambda: layer(x)))
    y.square().sum().backward()
    assert all(p.grad.any() for p in layer.parameters())


# Arguments


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: L0Linear(0, 3), "`in_features` must be an integer of at least 1, got 0"),
        (lambda: L0Linear(3, 2.5), "`out_features` must be an integer of at least 1, got 2.5"),
        (lambda: L0Linear(3, 2, temperature=0), "`temperature` must be positive and finite"),
        (lambda: L0Conv2d(0, 3, 3), "`in_channels` must be"),
        (lambda: L0Conv2d(3, -1, 3), "`out_channels` must be"),
        (
            lambda: L0Conv2d(3, 3, 0),
            "`kernel_size` must be an integer of at least 1, or a pair of them, got 0",
        ),
        (lambda: L0Conv2d(3, 3, (3, 3, 3)), r"`kernel_size` must be .* got \(3, 3, 3\)"),
        (lambda: L0Conv2d(3, 3, (3, 1.5)), r"`kernel_size` must be .* got \(3, 1.5\)"),
        (lambda: L0Conv2d(3, 3, 3, stride=0), "`stride` must be an integer of at least 1"),
        (lambda: L0Conv2d(3, 3, 3, padding=-1), "`padding` must be an integer of at least 0"),
        (lambda: L0Conv2d(3, 3, 3, padding="some"), "`padding` is 'some'; pass an integer"),
        (
            lambda: L0Conv2d(3, 3, 3, stride=(1, 2), padding="same"),
            r"`padding` 'same' needs `stride` 1, got \(1, 2\); pass an integer",
        ),
        (lambda: L0DepthwiseConv2d(0, 3), "`in_channels` must be"),
        (lambda: L0DepthwiseConv2d(3, None), "`kernel_size` must be .* got None"),
        (lambda: SparseMLP(hidden_dim=0), "`hidden_dim` must be an integer of at least 1, got 0"),
        (lambda: SparseMLP(4, 4, "x"), "`output_dim` must be an integer of at least 1, got 'x'"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("init_sparsity", [0, 1, -0.1, math.nan])
@pytest.mark.parametrize(
    "build",
    [
        lambda **kwargs: L0Linear(3, 2, **kwargs),
        lambda **kwargs: L0Conv2d(3, 2, 3, **kwargs),
        lambda **kwargs: L0Conv2d(3, 2, 3, structured=True, **kwargs),
        lambda **kwargs: L0DepthwiseConv2d(3, 3, **kwargs),
        lambda **kwargs: SparseMLP(3, 2, 2, **kwargs),
    ],
)
def test_a_bad_init_sparsity_is_named(build, init_sparsity):
    with pytest.raises(ValueError, match="`init_sparsity` must lie strictly between 0 and 1"):
        build(init_sparsity=init_sparsity)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("linear without bias", "in_features=5, out_features=4, bias=False"),
        ("conv", "8, 4, kernel_size=(3, 2), stride=(2, 2), padding=(1, 0), bias=True"),
        ("structured", "padding='same', bias=True, structured=True"),
    ],
)
def test_printing_tells_the_settings(kind, settings):
    text = repr(make(kind)[0])
    assert settings in text
    assert "_gates): HardConcrete(gate_size=" in text
