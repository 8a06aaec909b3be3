"""Random draws that repeat, for models of any width."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_SEED = 0


class _AlikeDraws(TorchDispatchMode):
    """Random operations draw one number each, so that tensors of any width hold the same one."""

    def __init__(self, devices: Set[torch.device], keep_seeded: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._random, self._devices = random.Random(_SEED), devices
        self._keep_seeded = keep_seeded

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if self._keep_seeded and _is_seeded(kwargs.get("generator")):
            return func(*args, **kwargs)
        uniform, normal = self._random.random(), self._random.gauss(0, 1)
        name = func.overloadpacket.__name__
        # Most draws are on the CPU, and seeding others takes longer than most operations.
        drawn_on = {x.device for x in args if isinstance(x, Tensor)} or {kwargs.get("device")}
        is_on_cpu = drawn_on == {torch.device("cpu")}
        _seed(self._random.getrandbits(32), set() if is_on_cpu else self._devices)
        if name == "native_dropout":  # nothing is dropped
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        if name.startswith("rrelu_with_noise"):
            x, noise, low, high, training = (*args, *(1 / 8, 1 / 3, False)[len(args) - 2 :])[:5]
            slope = low + (high - low) * uniform if training else (low + high) / 2
            return func(x, noise, slope, slope, False)
        out = func(*args, **kwargs)
        if not isinstance(out, Tensor) or not out.is_floating_point():
            return out
        given = list(args[1:3])
        first, second = given + [0.0, 1.0][len(given) :]
        if name in ("rand", "rand_like"):
            return out.fill_(uniform)
        if name in ("randn", "randn_like"):
            return out.fill_(normal)
        if name == "uniform_":
            return out.fill_(first + (second - first) * uniform)
        if name == "normal_":
            return out.fill_(first + second * normal)
        if name == "normal":
            mean, std = (*args, 1.0)[:2]  # numbers or tensors
            return out.copy_(torch.as_tensor(mean + std * normal, device=out.device))
        if name == "bernoulli_":  # a coin shows 1, unless it never does
            of = args[1] if len(args) > 1 else 0.5
            return out.copy_(torch.as_tensor(of, device=out.device) > 0)
        if name == "bernoulli":  # the second argument replaces the first
            return out.copy_(torch.as_tensor(args[-1], device=out.device) > 0)
        exponential = -math.log1p(-uniform)
        if name == "exponential_":
            rate = args[1] if len(args) > 1 else 1.0
            return out.fill_(exponential / rate)
        if name in ("poisson", "_standard_gamma"):  # what keeps the mean, and shows every change
            return out.copy_(args[0] * exponential)
        if name == "binomial":
            return out.copy_(args[0] * args[1])
        return out


def _is_seeded(generator: torch.Generator | None) -> bool:
    """Tell whether a generator has drawn nothing since it got its seed."""
    if generator is None:
        return False
    anew = torch.Generator(generator.device).manual_seed(generator.initial_seed())
    return torch.equal(generator.get_state(), anew.get_state())


def _seed(seed: int, devices: Set[torch.device]) -> None:
    """Seed the global generators of the CPU and of these devices, and of no other GPU."""
    torch.default_generator.manual_seed(seed)
    for device in devices:
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type != "cpu":
            torch.manual_seed(seed)


@contextmanager
def kept_draws(devices: Set[torch.device]) -> Iterator[None]:
    """Make a context that leaves the generators of torch as they were, on the CPU and CUDA devices.

    Parameters
    ----------
    devices : set of torch.device
        Those of a model and its inputs. Other GPUs are not touched: this would take memory there.
    """
    with torch.random.fork_rng([device for device in devices if device.type == "cuda"]):
        yield


@contextmanager
def alike_draws(devices: Set[torch.device], keep_seeded: bool = False) -> Iterator[None]:
    """Make a context in which models of any width draw the same random numbers.

    The global generators of torch, NumPy and Python are left as they were: see `kept_draws`.

    Parameters
    ----------
    devices : set of torch.device
        Those of a model and its inputs.
    keep_seeded : bool, default False
        Whether a generator that the model seeds itself, so that its draws are no noise but
        constants, draws what it always draws.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with kept_draws(devices):
        try:
            _seed(_SEED, devices)
            random.seed(_SEED)
            np.random.seed(_SEED)  # noqa: NPY002
            with _AlikeDraws(devices, keep_seeded):
                yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
