"""Finding the channels that a channel reaches: they turn to NaN if the channel is set to NaN.

NaN survives sums, products, norms, pooling, softmax, reshaping and most other operations between
two layers, and it marks exactly the values that depend on the marked channel. So the package needs
no knowledge of the code between the layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves, tree_map

from l0.common.errors import InputError
from l0.networks.graph.layer_types import ChannelLayout, layout_of

#: The key of the model's output in :data:`Marks`, beside the names of layers.
OUTPUT = "the model's output"

#: For each layer, and for the model's output, the marked channels among its inputs.
Marks = dict[str, Tensor]


def call(model: nn.Module, example_inputs: Any) -> Any:
    """Run a model on example inputs: a tensor, a sequence of arguments, or named arguments."""
    if isinstance(example_inputs, Mapping):
        return model(**example_inputs)
    if isinstance(example_inputs, Sequence):
        return model(*example_inputs)
    return model(example_inputs)


def moved(example_inputs: Any, device: torch.device) -> Any:
    """Return example inputs with all tensors on a device, in the form in which they came."""
    if isinstance(example_inputs, Mapping):
        example_inputs = dict(example_inputs)  # tree_map knows no other mappings
    return tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, example_inputs)


class Probe:
    """A model whose layers answer with an output that was recorded once.

    A layer that mixes its channels stops marks. The probe notes the marks that reach the layer,
    and the layer answers with its recorded output, in which the requested channels are marked. So
    a run computes only the code between the layers.

    Parameters
    ----------
    model : nn.Module
        Is changed and cannot be used afterwards: give a copy.
    example_inputs : Tensor, sequence or mapping
        See :func:`call`.

    Attributes
    ----------
    layouts : dict of str to ChannelLayout
        The layers that were called and whose type is known, in the order of the model.
    n_positions : dict of str to float
        For each layer, the number of positions of one example to which it is applied, over all
        calls. The first axis of the first input counts the examples.

    Raises
    ------
    InputError
        If the example inputs are no batch, do not run through the model, or lead to NaN.
    """

    def __init__(self, model: nn.Module, example_inputs: Any) -> None:
        self._model = model.eval()
        self._example_inputs = example_inputs
        tensors = [x for x in tree_leaves(example_inputs) if isinstance(x, Tensor)]
        self._shape = tuple(tensors[0].shape) if tensors else ()
        self._n_examples = self._shape[0] if self._shape else 1
        if not self._n_examples:
            raise self._no_batch()
        self._sources: Mapping[str, Tensor] = {}
        self._calls: Counter[str] = Counter()
        self._marks: Marks = {}
        self._recording = True
        self._outputs: dict[str, list[Any]] = {}
        self.n_positions: dict[str, float] = {}
        layouts = {n: None if is_derived(m) else layout_of(m) for n, m in model.named_modules()}
        for name, module in model.named_modules():
            layout = layouts[name]
            if layout is not None:
                module.forward = partial(self._answer, name, module, layout, module.forward)
        try:
            marks = self._run({})
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"`example_inputs` do not run through the model: {type(error).__name__}: {error}; "
                "give a tensor, a tuple of positional arguments, or a dict of named arguments"
            ) from error
        if any(mark.any() for mark in marks.values()):
            raise InputError("`example_inputs` lead to NaN in the model; give finite inputs")
        self._recording = False
        self.layouts = {
            name: layout for name, layout in layouts.items() if layout and name in self._outputs
        }

    def run(self, sources: Mapping[str, Tensor], inputs: Any = None) -> Marks:
        """Mark output channels of layers, and tell which channels the marks reach.

        Parameters
        ----------
        sources : mapping of str to Tensor of bool
            For some layers, the output channels to mark.
        inputs : optional
            Inputs to use instead of the example inputs.

        Returns
        -------
        dict of str to Tensor of bool
            For each layer, the input channels that a mark reached; one entry for OUTPUT.

        Raises
        ------
        InputError
            If the code between the layers refuses NaN.
        """
        try:
            return self._run(sources, inputs)
        except Exception as error:
            raise InputError(
                "`model` cannot be searched for channels that belong together: where a layer gives "
                f"NaN, its code raises {type(error).__name__}: {error}; turn off its checks of "
                "values, such as validate_args of torch.distributions, until it has gates"
            ) from error

    def run_inputs(self) -> Marks:
        """Mark the floating-point inputs of the model, and tell which channels they reach."""
        return self.run({}, tree_map(_all_nan, self._example_inputs))

    def run_tensors(self, tensors: Iterable[Tensor]) -> Marks:
        """Mark parameters or buffers, and tell which channels they reach."""
        tensors = list(tensors)
        saved = [t.detach().clone() for t in tensors]
        with torch.no_grad():
            for t in tensors:
                t.fill_(torch.nan)
            try:
                return self.run({})
            finally:
                for t, old in zip(tensors, saved, strict=True):
                    t.copy_(old)

    def _run(self, sources: Mapping[str, Tensor], inputs: Any = None) -> Marks:
        self._sources, self._marks = sources, {}
        self._calls.clear()
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _no_shortcuts():
            out = call(self._model, self._example_inputs if inputs is None else inputs)
        leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not leaves:
            raise InputError(
                f"`model` returns {type(out).__name__}, in which no tensor is found; let it return "
                "a tensor, or several tensors in a tuple, a list or a dict"
            )
        self._note(OUTPUT, torch.stack([_any_nan(leaf) for leaf in leaves]).any()[None])
        return self._marks

    def _answer(
        self,
        name: str,
        module: nn.Module,
        layout: ChannelLayout,
        forward: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if layout.role != "source":
            inputs = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
            if layout.role != "fixed":
                inputs = inputs[:1]
            for x in inputs:
                if x.is_floating_point() and x.shape[layout.axis_in :][:1] == (layout.n_in,):
                    self._note(name, _nan_along(x, layout.axis_in))
        if self._recording:
            out = forward(*args, **kwargs)
            self._outputs.setdefault(name, []).append(tree_map(_copy, out))
            self._count_positions(name, module, layout, args, out)
            return out
        if isinstance(module, nn.GroupNorm):  # runs, because it mixes the channels of a group
            return forward(*args, **kwargs)
        out = tree_map(_copy, self._outputs[name][self._calls[name]])
        self._calls[name] += 1
        mark = self._sources.get(name)
        if layout.role == "through":
            mark = _nan_along(args[0], layout.axis_in).repeat_interleave(
                layout.n_out // layout.n_in
            )
        if mark is not None:
            first = tree_leaves(out)[0]
            first.movedim(layout.axis_out, 0)[mark] = torch.nan
        return out

    def _count_positions(
        self, name: str, module: nn.Module, layout: ChannelLayout, args: tuple[Any, ...], out: Any
    ) -> None:
        if isinstance(module, _ConvTransposeNd):  # applies its kernel at each position of its input
            n_positions = args[0].numel() / layout.n_in
        else:
            given = tree_leaves(out)[0]
            if given.ndim == len(self._shape) == 1:
                raise self._no_batch()
            n_positions = given.numel() / layout.n_out
        self.n_positions[name] = self.n_positions.get(name, 0.0) + n_positions / self._n_examples

    def _no_batch(self) -> InputError:
        return InputError(
            f"`example_inputs` has the shape {self._shape}; give a batch of one or two examples, "
            "in which the first axis counts the examples"
        )

    def _note(self, name: str, mark: Tensor) -> None:
        mark = mark.cpu()
        self._marks[name] = self._marks[name] | mark if name in self._marks else mark


@contextmanager
def _no_shortcuts() -> Iterator[None]:
    """Turn off the fast path of torch's transformer layers, which does not call their layers."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def is_derived(module: nn.Module) -> bool:
    """Tell whether a layer computes its weight from other tensors; it then gets no gates."""
    weight = getattr(module, "weight", None)
    computed = isinstance(weight, Tensor) and "weight" not in module._parameters
    return computed or parametrize.is_parametrized(module)


def _any_nan(x: Tensor) -> Tensor:
    return x.isnan().any().cpu()


def _nan_along(x: Tensor, axis: int) -> Tensor:
    return x.isnan().movedim(axis, 0).reshape(x.shape[axis], -1).any(1)


def _copy(x: Any) -> Any:
    return x.detach().clone() if isinstance(x, Tensor) else x


def _all_nan(x: Any) -> Any:
    if isinstance(x, Tensor) and x.is_floating_point():
        return torch.full_like(x, torch.nan)
    return x
