"""`l0.sparsify` on a convolutional net and a transformer: gates, training, compacting, saving."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import l0
from device_parts.compare import (
    FLOAT32,
    HALF,
    HALVES,
    TF32,
    Check,
    default_device,
    global_generators_untouched,
    is_on,
    near_relative,
)
from device_parts.report import SkippedError
from l0.networks import Attention, Sparsifier, load, save

STEPS = 5
CLASSES = 10


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next layer gets."""
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def conv_net(width: int = 16) -> nn.Module:
    """A residual block, a depthwise convolution and pooling, between two other convolutions."""
    double = 2 * width
    return nn.Sequential(
        *(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()),
        *(Residual(width), nn.MaxPool2d(2), nn.Conv2d(width, width, 3, groups=width), nn.ReLU6()),
        *(nn.Conv2d(width, double, 3), nn.BatchNorm2d(double), nn.SiLU(), nn.Dropout(0.1)),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * double, 24), nn.ReLU()),
        nn.Linear(24, CLASSES),
    )


class Transformer(nn.Module):
    """Tokens, one of torch's own encoder layers, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.places = nn.Parameter(0.1 * torch.randn(12, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores of the classes."""
        return self.head(self.layers(self.embed(tokens) + self.places).mean(1))


class Net(NamedTuple):
    """A network, and how to make examples for it on the CPU."""

    make: Callable[[], nn.Module]
    examples: Callable[[torch.Generator], Tensor]


NETS = {
    "conv net": Net(conv_net, lambda g: torch.randn(8, 3, 10, 10, generator=g)),
    "transformer": Net(Transformer, lambda g: torch.randint(30, (8, 12), generator=g)),
}

#: Of a width at which kernels for tensor cores pay; on the CPU it would tell nothing more.
WIDE = "wide conv net"
WIDE_NET = Net(lambda: conv_net(96), lambda g: torch.randn(8, 3, 32, 32, generator=g))


def _made(net: str, device: torch.device | str, seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    make, examples = WIDE_NET if net == WIDE else NETS[net]
    model, x = make().to(device), examples(generator).to(device)
    return model, x, torch.randint(CLASSES, (len(x),), generator=generator).to(device)


def _sparsify(model: nn.Module, x: Tensor, **options: Any) -> Sparsifier:
    return l0.sparsify(model, x[:2], l0.Macs(0.5), **{"total_steps": STEPS, **options})


def _train(
    sparsifier: Sparsifier, x: Tensor, y: Tensor, precision: torch.dtype | None = None
) -> None:
    """Train for `STEPS`, in mixed precision where one is named."""
    model, kind = sparsifier.model.train(), x.device.type
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3))
    scaler = torch.amp.GradScaler(kind, enabled=precision == torch.float16)
    for _ in range(STEPS):
        optimizer.zero_grad()
        with torch.autocast(kind, precision, enabled=precision is not None):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss + sparsifier.penalty()).backward()
        scaler.step(optimizer)
        scaler.update()
        sparsifier.step()
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), f"`{name}` is not finite after training"


def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(x)


def _macs_left(sparsifier: Sparsifier) -> float:
    return sparsifier.report(latency=False).totals["multiply-adds"].share


def groups(device: torch.device, net: str) -> str:
    """The same groups of units are found as on the CPU, from several weights at the start.

    They are tried out, and rounding that differs between kernels must not count as a failure.
    """
    if net == WIDE and device.type == "cpu":
        raise SkippedError("for kernels that round; the CPU has none")

    def found(place: torch.device | str, seed: int) -> tuple[list[tuple[str, int]], list[str]]:
        model, x, _ = _made(net, place, seed)
        structure = _sparsify(model, x).structure
        sizes = [(group.name, group.n_units) for group in structure.groups]
        return sizes, [f"{left.name}: {left.reason}" for left in structure.left_out]

    for seed in range(1 if device.type == "cpu" else 4):
        (there, out_there), (here, out_here) = found(device, seed), found("cpu", seed)
        lost = [left for left in out_there if left not in out_here]
        assert there == here, f"{len(there)} groups instead of {len(here)}; {'; '.join(lost)}"
    return f"{len(there)} groups, {sum(n for _, n in there)} units"


def compact(device: torch.device, net: str, gates: str, precision: torch.dtype | None) -> str:
    """Train down to half the multiply-adds; the compact model gives what the gated one gives."""
    model, x, y = _made(net, device)
    before = _outputs(model, x)
    sparsifier = _sparsify(model, x, gates=gates)
    if gates == "hadamard":
        near_relative("the output with open gates", _outputs(model, x), before, TF32)
    # Torch's own dropout may draw from the global generators, so gates alone are watched.
    with global_generators_untouched():
        sparsifier.gates.draw(0)
    _train(sparsifier, x, y, precision)
    small = sparsifier.compact()
    for tensor in (*small.parameters(), *small.buffers()):
        is_on(tensor, device)
    gap = near_relative("the compact output", _outputs(small, x), _outputs(model, x), TF32)
    left = _macs_left(sparsifier)
    assert left <= 0.5, f"{left:.1%} of the multiply-adds are left"
    if precision is not None:
        with torch.autocast(device.type, precision):
            half = _outputs(small, x)
        near_relative("the output under autocast", half, _outputs(small, x), HALF)
    return f"{left:.0%} of the multiply-adds left, outputs off by {gap:.1g}"


def saving(device: torch.device, net: str) -> None:
    """A compact model is written, and read on the device and on the CPU."""
    model, x, y = _made(net, device)
    sparsifier = _sparsify(model, x)
    _train(sparsifier, x, y)
    small = sparsifier.compact()
    expected = _outputs(small, x)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.pt"
        save(small, file)
        for place in {device, torch.device("cpu")}:
            fresh = load(NETS[net].make().to(place), file)
            found = _outputs(fresh, x.to(place))
            is_on(found, place)
            tolerance = FLOAT32 if place == device else TF32
            near_relative(f"the output on {place.type}", found, expected, tolerance)


def moved(device: torch.device, net: str) -> str:
    """Gates are put on a model on the CPU that moves afterwards, as trainers move it."""
    model, x, y = _made(net, "cpu")
    sparsifier = _sparsify(model, x)
    model.to(device)
    _train(sparsifier, x.to(device), y.to(device))
    milliseconds = sparsifier.report().totals["milliseconds"]
    small = sparsifier.compact()
    is_on(_outputs(small, x.to(device)), device)
    return f"{milliseconds.before:.2f} ms a pass before, {milliseconds.after:.2f} ms after"


def state(device: torch.device, net: str) -> None:
    """A sparsifier's state is written on the device and read on the CPU and there."""
    model, x, y = _made(net, device)
    sparsifier = _sparsify(model, x, gates="hard_concrete", total_steps=2 * STEPS)
    _train(sparsifier, x, y)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "gates": sparsifier.state_dict()}, file)
    for place in {device, torch.device("cpu")}:
        file.seek(0)
        saved = torch.load(file, map_location=place, weights_only=True)
        other, there, digits = _made(net, place)
        again = _sparsify(other, there, gates="hard_concrete", total_steps=2 * STEPS)
        other.load_state_dict(saved["model"])
        again.load_state_dict(saved["gates"])
        near_relative("the output", _outputs(other, there), _outputs(model, x), TF32)
        _train(again, there, digits)
        again.compact()


def single_weights(device: torch.device, net: str) -> str:
    """A gate on each weight."""
    model, x, y = _made(net, device)
    sparsifier = _sparsify(model, x, granularity="weight")
    _train(sparsifier, x, y)
    near_relative("the compact output", _outputs(sparsifier.compact(), x), _outputs(model, x), TF32)
    return f"{_macs_left(sparsifier):.0%} of the multiply-adds left"


def selected_inputs(device: torch.device) -> None:
    """Features that a layer reads have gates; the compact model selects them on the device."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 20), nn.ReLU(), nn.Linear(20, CLASSES)).to(device)
    x = torch.randn(16, 60, device=device)
    y = torch.randint(CLASSES, (16,), device=device)
    sparsifier = l0.sparsify(model, x[:2], l0.Params(0.2), inputs="0", total_steps=STEPS)
    _train(sparsifier, x, y)
    small = sparsifier.compact()
    near_relative("the compact output", _outputs(small, x), _outputs(model, x), TF32)
    with tempfile.TemporaryDirectory() as folder:
        save(small, Path(folder) / "small.pt")
        fresh = nn.Sequential(nn.Linear(60, 20), nn.ReLU(), nn.Linear(20, CLASSES)).to(device)
        fresh = load(fresh, Path(folder) / "small.pt")
        near_relative("the saved output", _outputs(fresh, x), _outputs(small, x), FLOAT32)


def attention(device: torch.device) -> str:
    """Attention taken apart gives what torch's gives, with masks, in all precisions."""
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(32, 4, batch_first=True).to(device).eval()
    apart = Attention(deepcopy(whole)).eval()
    x = torch.randn(3, 7, 32, device=device)
    causal = torch.triu(torch.ones(7, 7, dtype=torch.bool, device=device), 1)
    padding = torch.zeros(3, 7, dtype=torch.bool, device=device)
    padding[0, 5:] = True
    gap = 0.0
    for need_weights in (True, False):
        for masks in ({}, {"attn_mask": causal}, {"key_padding_mask": padding}):
            expected = whole(x, x, x, need_weights=need_weights, **masks)[0]
            found = apart(x, x, x, need_weights=need_weights, **masks)[0]
            gap = max(gap, near_relative("what it attends to", found, expected, TF32))
            for precision in HALVES:
                with torch.autocast(device.type, precision):
                    half = apart(x, x, x, need_weights=need_weights, **masks)[0]
                assert half.dtype == precision
                near_relative(f"the same in {precision}", half, expected, HALF)
    return f"off by {gap:.1g} at most"


def marks(device: torch.device) -> str:
    """NaN in one channel survives whatever stands between layers, as it does on the CPU.

    The search for channels that belong together rests on that.
    """
    names = """
    relu relu6 hardtanh hardswish hardsigmoid leaky_relu elu selu celu gelu silu mish softplus
    softsign tanhshrink hardshrink softshrink sigmoid tanh logsigmoid
    """
    between: dict[str, Callable[[Tensor], Tensor]] = {
        **{name: getattr(F, name) for name in names.split()},
        "max_pool2d": lambda x: F.max_pool2d(x, 2),
        "max_pool2d, channels last": lambda x: F.max_pool2d(
            x.contiguous(memory_format=torch.channels_last), 2
        ),
        "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
        "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
        "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 1),
        "interpolate, nearest": lambda x: F.interpolate(x, scale_factor=2),
        "interpolate, bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        "clamp": lambda x: x.clamp(-1, 1),
        "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
        "softmax": lambda x: x.softmax(1),
        "amax": lambda x: x.amax((2, 3)),
        "norm": lambda x: F.normalize(x),
    }
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 6)
    x[:, 2] = torch.nan
    lost = []
    for name, action in between.items():
        here, there = action(x).isnan(), action(x.to(device)).isnan().cpu()
        if not torch.equal(here, there):
            lost.append(name)
    assert not lost, f"marks end elsewhere than on the CPU: {', '.join(lost)}"
    return f"{len(between)} operations"


def under_default_device(device: torch.device, net: str) -> None:
    """Gates where `torch.set_default_device` was called."""
    with default_device(device):
        torch.manual_seed(0)
        model = NETS[net].make()
        x = NETS[net].examples(torch.Generator(device).manual_seed(0))
        y = torch.zeros(len(x), dtype=torch.long)
        sparsifier = _sparsify(model, x)
        _train(sparsifier, x, y)
        small = sparsifier.compact()
        near_relative("the compact output", _outputs(small, x), _outputs(model, x), TF32)


def _kind(precision: torch.dtype | None) -> str:
    return "float32" if precision is None else str(precision).removeprefix("torch.")


#: Gates, and the precision they are trained in. `hard_concrete` in float32 is in "state".
_TRAININGS = (
    ("hadamard", None),
    ("hadamard", torch.float16),
    ("hadamard", torch.bfloat16),
    ("hard_concrete", torch.float16),
)
_WITHOUT_OPTIONS: dict[str, Callable[..., str | None]] = {
    "groups of units": groups,
    "save and load": saving,
    "moved after gates were put on": moved,
    "state of the sparsifier": state,
    "single weights": single_weights,
    "under a default device": under_default_device,
}

CHECKS: dict[str, Check] = {
    "marks of the search": marks,
    "attention taken apart": attention,
    "selected inputs": selected_inputs,
    f"{WIDE}: groups of units": partial(groups, net=WIDE),
    **{
        f"{net}: {what}": partial(action, net=net)
        for net in NETS
        for what, action in _WITHOUT_OPTIONS.items()
    },
    **{
        f"{net}: {gates}, {_kind(precision)}": partial(
            compact, net=net, gates=gates, precision=precision
        )
        for net in NETS
        for gates, precision in _TRAININGS
    },
}
