"""Which channels reach which: NaN is put into some, and found wherever their values arrive.

NaN survives sums, products, norms, pooling, softmax, reshaping and whatever else stands between
two layers, and marks exactly the values that depend on the marked channel. So nothing has to be
known of the code between the layers.
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
from l0.networks.kinds import Kind, kind_of

#: The mark of the model's output among the names of layers.
OUTPUT = "the model's output"

#: For each layer, and for the output, which channels that come in are marked.
Marks = dict[str, Tensor]


def call(model: nn.Module, example_inputs: Any) -> Any:
    """Run a model on example inputs: a tensor, a sequence of arguments, or named arguments."""
    if isinstance(example_inputs, Mapping):
        return model(**example_inputs)
    if isinstance(example_inputs, Sequence):
        return model(*example_inputs)
    return model(example_inputs)


class Probe:
    """A model whose layers are replaced by what they gave once.

    Layers that mix their channels stop marks: what reaches them is noted, and they answer with
    the recorded output, marked where it is asked for. So a run costs only what lies between.

    Parameters
    ----------
    model : nn.Module
        Is changed for good: give a copy.
    example_inputs : Tensor, sequence or mapping
        See :func:`call`.

    Attributes
    ----------
    kinds : dict of str to Kind
        Of the layers that were called and whose kind is known, in the order of the model.
    places : dict of str to float
        For each layer, how often it is applied to one example (the first axis of the first input
        counts them): positions of a sequence or of an image, over all calls.
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
        self.places: dict[str, float] = {}
        kinds = {n: None if is_derived(m) else kind_of(m) for n, m in model.named_modules()}
        for name, module in model.named_modules():
            kind = kinds[name]
            if kind is not None:
                module.forward = partial(self._answer, name, module, kind, module.forward)
        try:
            marks = self._run({})
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"`example_inputs` do not run through the model: {type(error).__name__}: {error}; "
                "give a tensor, a tuple of positional or a dict of named arguments"
            ) from error
        if any(mark.any() for mark in marks.values()):
            raise InputError("`example_inputs` lead to NaN in the model; give finite ones")
        self._recording = False
        self.kinds = {name: kind for name, kind in kinds.items() if kind and name in self._outputs}

    def run(self, sources: Mapping[str, Tensor], inputs: Any = None) -> Marks:
        """Mark channels that layers give, and tell where the marks arrive.

        Parameters
        ----------
        sources : mapping of str to Tensor of bool
            For some layers, which of their channels to mark.
        inputs : optional
            In place of the example inputs.

        Returns
        -------
        dict of str to Tensor of bool
            The channels of each layer that a mark reached; OUTPUT has one entry.

        Raises
        ------
        InputError
            If code between the layers does not take NaN.
        """
        try:
            return self._run(sources, inputs)
        except Exception as error:
            raise InputError(
                "`model` cannot be searched for channels that go together: where a layer gives "
                f"NaN, its code raises {type(error).__name__}: {error}; leave out its checks of "
                "values, such as validate_args of torch.distributions, until it has gates"
            ) from error

    def run_inputs(self) -> Marks:
        """Mark the model's own floating inputs."""
        return self.run({}, tree_map(_all_nan, self._example_inputs))

    def run_tensors(self, tensors: Iterable[Tensor]) -> Marks:
        """Mark parameters or buffers."""
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
                "tensors, in tuples, lists or dicts if there are several"
            )
        self._note(OUTPUT, torch.stack([_any_nan(leaf) for leaf in leaves]).any()[None])
        return self._marks

    def _answer(
        self,
        name: str,
        module: nn.Module,
        kind: Kind,
        forward: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if kind.role != "source":
            inputs = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
            if kind.role != "fixed":
                inputs = inputs[:1]
            for x in inputs:
                if x.is_floating_point() and x.shape[kind.axis_in :][:1] == (kind.n_in,):
                    self._note(name, _nan_along(x, kind.axis_in))
        if self._recording:
            out = forward(*args, **kwargs)
            self._outputs.setdefault(name, []).append(tree_map(_copy, out))
            self._count_places(name, module, kind, args, out)
            return out
        if isinstance(module, nn.GroupNorm):  # mixes the channels of each group
            return forward(*args, **kwargs)
        out = tree_map(_copy, self._outputs[name][self._calls[name]])
        self._calls[name] += 1
        mark = self._sources.get(name)
        if kind.role == "through":
            mark = _nan_along(args[0], kind.axis_in).repeat_interleave(kind.n_out // kind.n_in)
        if mark is not None:
            first = tree_leaves(out)[0]
            first.movedim(kind.axis_out, 0)[mark] = torch.nan
        return out

    def _count_places(
        self, name: str, module: nn.Module, kind: Kind, args: tuple[Any, ...], out: Any
    ) -> None:
        if isinstance(module, _ConvTransposeNd):  # the kernel is laid on every place that comes in
            places = args[0].numel() / kind.n_in
        else:
            given = tree_leaves(out)[0]
            if given.ndim == len(self._shape) == 1:
                raise self._no_batch()
            places = given.numel() / kind.n_out
        self.places[name] = self.places.get(name, 0.0) + places / self._n_examples

    def _no_batch(self) -> InputError:
        return InputError(
            f"`example_inputs` has the shape {self._shape}; give a batch of one or two examples, "
            "the first axis of which counts them"
        )

    def _note(self, name: str, mark: Tensor) -> None:
        mark = mark.cpu()
        self._marks[name] = self._marks[name] | mark if name in self._marks else mark


@contextmanager
def _no_shortcuts() -> Iterator[None]:
    """Keep torch's transformer layers from running past the layers that they are made of."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def is_derived(module: nn.Module) -> bool:
    """Tell whether a layer computes its weight from others, so that it cannot be gated or cut."""
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
