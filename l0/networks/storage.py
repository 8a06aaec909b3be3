"""Compact models on disk: the state_dict of a model and the sizes of its modules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l0.common.atomic_files import whole_file
from l0.common.errors import InputError, first_few
from l0.common.validation import check_path
from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.attention import open_attention
from l0.networks.graph.tensors import copy_of, mode_of
from l0.networks.pruning.compact import Select


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a compact model to a file: its state_dict and the sizes of its modules.

    Parameters
    ----------
    model : nn.Module
        A model from :meth:`l0.Sparsifier.compact`, which may have been trained further.
    path : str or Path
        The file. It holds only tensors and numbers, so `torch.load` reads it with
        ``weights_only=True``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> import l0
    >>> from l0.networks import load, save
    >>> def network():
    ...     return torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
    >>> x = torch.ones(2, 8)
    >>> small = l0.sparsify(network(), x, l0.Units(3)).compact()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(small, Path(folder) / "small.pt")
    ...     loaded = load(network(), Path(folder) / "small.pt")
    >>> loaded
    Sequential(
      (0): Linear(in_features=8, out_features=3, bias=True)
      (1): Linear(in_features=3, out_features=2, bias=True)
    )
    >>> torch.equal(loaded(x), small(x))
    True
    """
    _check(model)
    check_path(path, "path", "the file to write")
    if any(isinstance(module, UnitGate) for module in model.modules()):
        raise InputError(
            "`model` still has gates; save the model that sparsifier.compact() returns"
        )
    sizes = {name: _sizes(module) for name, module in model.named_modules()}
    selects = {
        name.rpartition(".")[0]: (module.axis, len(module.index))
        for name, module in model.named_modules()
        if isinstance(module, Select)
    }
    saved = {
        "sizes": {name: size for name, size in sizes.items() if size},
        "selects": selects,
        "state": model.state_dict(),
        "buffers": _other_buffers(model),
    }
    with whole_file(path) as draft:
        torch.save(saved, draft)
        _check_readable(draft, model)


def load(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Shrink a fresh model to the sizes of a saved one, and load the saved weights into it.

    Parameters
    ----------
    model : nn.Module
        A model of the architecture that was sparsified, with any weights; it is changed in place.
        Numbers that its modules have as attributes, such as widths, scales or the share of a
        dropout, become those of the saved model.
    path : str or Path
        A file that :func:`save` wrote.

    Returns
    -------
    nn.Module
        The same model.

    Raises
    ------
    InputError
        If the file holds a model of another architecture or something else, or if `model` is no
        model or `path` no path. `model` is then unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> import l0
    >>> from l0.networks import load, save
    >>> def network():
    ...     return torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
    >>> small = l0.sparsify(network(), torch.ones(2, 8), l0.Units(3)).compact()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(small, Path(folder) / "small.pt")
    ...     load(network(), Path(folder) / "small.pt")[0].out_features
    3
    """
    _check(model)
    check_path(path, "path", "a file that `save` wrote")
    with mode_of(model):
        return _loaded(model, path)


def _loaded(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    saved = _read(path, device)
    trial = copy_of(model, share_parameters=True)
    _restructure(trial, saved["selects"], device)
    unknown = sorted(saved["sizes"].keys() - _modules(trial).keys())
    unknown += sorted(trial.state_dict().keys() ^ saved["state"].keys())
    if unknown:
        raise InputError(
            f"`model` and {os.fspath(path)!r} differ in {first_few(unknown)}; give a model of the "
            "architecture that was sparsified"
        )
    _restructure(model, saved["selects"], device)
    modules = _modules(model)
    for name, sizes in saved["sizes"].items():
        for attribute, size in sizes.items():
            setattr(modules[name], attribute, size)
    for key, value in saved["state"].items():
        name, _, last = key.rpartition(".")
        old = getattr(modules[name], last, None)
        if not isinstance(old, Tensor):
            continue  # what a module keeps by `get_extra_state`
        if old.shape != value.shape:
            new = torch.empty_like(value, dtype=old.dtype, device=old.device)
            trained = isinstance(old, nn.Parameter)
            setattr(modules[name], last, nn.Parameter(new, old.requires_grad) if trained else new)
    model.load_state_dict(saved["state"])
    fresh = _other_buffers(model)
    for key, value in saved["buffers"].items():
        if key in fresh and fresh[key].shape != value.shape:  # it has a part for each channel
            name, _, last = key.rpartition(".")
            setattr(modules[name], last, value.to(fresh[key]))
    return model


def _check_readable(draft: Path, model: nn.Module) -> None:
    """Check that `load` can read a file: modules may add anything to their state."""
    plain = nn.Module.get_extra_state
    adding = [n for n, m in model.named_modules() if type(m).get_extra_state is not plain]
    if not adding:
        return
    try:
        torch.load(draft, weights_only=True, mmap=True)
    except Exception as error:
        raise InputError(
            f"`model` has a state that no file holds safely, from `get_extra_state` of "
            f"{first_few(adding)}: {type(error).__name__}; let it return tensors, numbers, text, "
            "or dicts and lists of them"
        ) from error


def _read(path: str | os.PathLike[str], device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception:  # of any kind, where bytes are read as a program for pickle
        reason = "torch cannot read it"  # its own text advises to run what is in the file
    else:
        if isinstance(saved, dict) and saved.keys() == {"sizes", "selects", "state", "buffers"}:
            return saved
        reason = "it holds something else"
    raise InputError(
        f"`path` {os.fspath(path)!r} is no file of `l0.networks.save` ({reason}); give one, or "
        "load a plain state_dict with load_state_dict"
    )


def _restructure(
    model: nn.Module, selects: dict[str, tuple[int, int]], device: torch.device
) -> None:
    """Give a model the layers that a compact one has."""
    open_attention(model)
    for name, (axis, n) in selects.items():  # from the outermost in: one may be inside another
        if name in dict(model.named_modules()):
            parent, _, last = name.rpartition(".")
            select = Select(torch.zeros(n, dtype=torch.long, device=device), axis)
            module = nn.Sequential(select, model.get_submodule(name))
            setattr(model.get_submodule(parent), last, module)


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules by all their names: some have several."""
    return dict(model.named_modules(remove_duplicate=False))


def _other_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers that are no part of the state, and are made with the model."""
    state = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name not in state}


def _check(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"`model` is a {type(model).__name__}; give the model first, and then the path"
        )


def _sizes(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module that are numbers; its sizes are among them.

    The size of a LayerNorm is one number in a tuple. A scale may have been computed from a width.
    """
    found = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name: float(value) if isinstance(value, float) else value  # also those of NumPy
        for name, value in found.items()
        if type(value) is int
        or isinstance(value, float)
        or (type(value) is tuple and [type(n) for n in value] == [int])
    }
