"""Models that cannot get gates are refused, with what to do instead."""

import functools
import warnings

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Params, load, save, sparsify
from l0.networks.accepted import check_devices


def network():
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def compiled_in_place():
    model = network()
    model.compile()
    return model


class DistributedDataParallel(nn.Module):
    """Has the name and the form of torch's class, which needs a process group."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)


class Packed(nn.Linear):
    """Two weights of four bits in each byte."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        packed = torch.zeros(n_out * n_in // 2, 1, dtype=torch.uint8)
        self.weight = nn.Parameter(packed, requires_grad=False)

    def forward(self, x):
        return x.new_zeros(*x.shape[:-1], self.out_features)


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(network(), {nn.Linear})


def patched():
    model = network()
    before = model[0].forward
    model[0].forward = lambda x: before(x) * 2
    return model


def test_a_function_that_holds_no_layer_may_replace_forward():
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    model[1].forward = lambda x, slope=0.1: torch.nn.functional.leaky_relu(x, slope)
    assert sparsify(model, torch.randn(2, 5), Params(0.5)).compact()[0].out_features < 8


class Holding(nn.Module):
    """Calls a layer by a function that an attribute holds."""

    def __init__(self, is_method=False):
        super().__init__()
        self.first, self.mixed, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.act = self.method if is_method else lambda h: self.mixed(h).relu()

    def method(self, h):
        return self.mixed(h).relu()

    def forward(self, x):
        return self.last(self.act(self.first(x)))


def test_a_function_in_an_attribute_may_hold_no_layer():
    x = torch.randn(2, 5)
    with pytest.raises(InputError, match="functions that hold layers, in 'act'; .* write methods"):
        sparsify(Holding(), x, Params(0.8))
    small = sparsify(Holding(is_method=True), x, Params(0.8)).compact()
    small(x).sum().backward()
    assert small.mixed.weight.grad is not None


@pytest.mark.parametrize("wrap", [functools.partial, lambda f, *_: f])
def test_a_function_that_names_a_layer_of_its_module_is_refused(wrap, monkeypatch):
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    monkeypatch.setitem(globals(), "LAYER", model[0])
    model[1].forward = wrap(lambda x: LAYER.weight.sum() * x)  # noqa: F821
    with pytest.raises(InputError, match="a function in place of `forward` in '1'"):
        sparsify(model, torch.randn(2, 5), Params(0.5))


@pytest.mark.filterwarnings("ignore")  # torch warns of itself when it compiles
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.compile(network()), "compiled .*`_orig_mod`.* compile it afterwards"),
        (compiled_in_place, "compiled by torch.compile"),
        (lambda: DistributedDataParallel(network()), "is a DistributedDataParallel; .*`module`"),
        (lambda: nn.Sequential(nn.DataParallel(network())), "has at '0' a DataParallel"),
        (lambda: nn.Sequential(nn.Linear(5, 8), Packed(8, 4)), "packed weights in '1'.*quantise"),
        (lambda: network().to("meta"), "on the device meta, .* load it on the CPU"),
        (patched, "a function in place of `forward` in '0'"),
        (quantised, "quantised or packed weights in '0'"),
    ],
)
def test_what_is_wrapped_compiled_or_quantised_is_refused(make, message):
    try:
        model = make()
    except RuntimeError as error:
        pytest.skip(str(error))  # this build of torch has no such layers
    with pytest.raises(InputError, match=f"(?s){message}"):
        sparsify(model, torch.randn(2, 5), Params(0.5))


def test_channels_last_stays():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    model = model.to(memory_format=torch.channels_last)
    small = sparsify(model, torch.randn(2, 3, 8, 8), Params(0.5)).compact()
    for i in (0, 2):
        assert small[i].weight.shape[1 - i // 2] < 8
        assert small[i].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_path_in_the_place_of_the_model_is_named(tmp_path):
    for function in (load, save):
        with pytest.raises(InputError, match="`model` is a str; give the model first"):
            function("small.pt", network())


def test_a_device_without_float64_is_refused():
    with pytest.raises(InputError, match="a GPU of Apple .*move what `compact` returns"):
        check_devices({torch.device("cpu"), torch.device("mps")})
