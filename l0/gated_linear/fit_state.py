"""The state of a fit as named tensors, for a `state_dict`: Adam's moments and the generators.

Tensors go through whatever a caller does to a state: ``torch.load(weights_only=True)``, a move to
another device, or a file of safetensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

#: The keys of a state begin with this.
FIT = "fit."
#: What Adam keeps for a parameter.
PARTS = ("step", "exp_avg", "exp_avg_sq")

#: The state of Adam: for each parameter, by its name, the tensors of `PARTS`.
Moments = dict[str, dict[str, Tensor]]


def moments_of(optimizer: torch.optim.Adam, names: Mapping[Tensor, str]) -> Moments:
    """Take the state of each parameter that has one."""
    return {
        names[parameter]: {part: state[part] for part in PARTS}
        for parameter, state in optimizer.state.items()
    }


def give_moments(
    optimizer: torch.optim.Adam, names: Mapping[Tensor, str], moments: Moments
) -> None:
    """Give the parameters of an optimizer their state, on their device."""
    described = optimizer.state_dict()
    given = [names[each] for group in optimizer.param_groups for each in group["params"]]
    described["state"] = {
        place: dict(moments[name]) for place, name in enumerate(given) if name in moments
    }
    optimizer.load_state_dict(described)


def packed(moments: Moments, generators: Mapping[str, torch.Generator | None]) -> dict[str, Tensor]:
    """Name all tensors of a state.

    Examples
    --------
    >>> import torch
    >>> from l0.gated_linear.fit_state import packed
    >>> list(packed({}, {"noise": torch.Generator().manual_seed(0)}))
    ['fit.generator.noise']
    """
    found = {
        f"{FIT}{name}.{part}": tensor
        for name, parts in moments.items()
        for part, tensor in parts.items()
    }
    for name, generator in generators.items():
        if generator is not None:
            found[f"{FIT}generator.{name}"] = generator.get_state()
    return found


def unpacked_moments(
    state: dict[str, Tensor], parameters: Iterable[tuple[str, Tensor]]
) -> tuple[Moments, list[str]]:
    """Take the moments of some parameters out of a state, as copies.

    Returns
    -------
    moments : dict
    errors : list of str
        What is wrong with them.
    """
    moments: Moments = {}
    errors = []
    for name, parameter in parameters:
        keys = {part: f"{FIT}{name}.{part}" for part in PARTS}
        there = [key for key in keys.values() if key in state]
        if not there:
            continue
        if len(there) < len(PARTS):
            errors.append(f"the state of Adam for {name!r} has only {', '.join(there)}")
        parts = {
            part: state.pop(key).detach().clone() for part, key in keys.items() if key in there
        }
        for part, tensor in parts.items():
            shape = () if part == "step" else parameter.shape
            if tensor.shape != shape:
                errors.append(
                    f"size mismatch for {keys[part]}: {tuple(tensor.shape)} in the state, "
                    f"{tuple(shape)} in the model"
                )
        moments[name] = parts
    return moments, errors


def generator_with(state: Tensor, device: torch.device) -> torch.Generator | None:
    """Make a generator with a state, on this device or, if it was saved elsewhere, on that one.

    None if there is no device for the state here.
    """
    places = [device, torch.device("cpu")]
    if torch.cuda.is_available():
        places.append(torch.device("cuda"))
    for place in places:
        try:
            generator = torch.Generator(place)
            generator.set_state(state.cpu())
        except RuntimeError:
            continue
        return generator
    return None
