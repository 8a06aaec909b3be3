"""Random draws that repeat, for models of any width."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_SEED = 0


class _AlikeDraws(TorchDispatchMode):
    """Random operations draw one number each, so that tensors of any width hold the same one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._random = random.Random(_SEED)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator"):
            return func(*args, **kwargs)  # a generator of the model draws what it always draws
        uniform, normal = self._random.random(), self._random.gauss(0, 1)
        name = func.overloadpacket.__name__
        _seed(self._random.getrandbits(32), args, kwargs)
        if name == "native_dropout":  # nothing is dropped
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
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
            return out.copy_(args[0] + args[1] * normal)
        if name == "bernoulli_":  # a coin shows 1, unless it never does
            of = args[1] if len(args) > 1 else 0.5
            return out.copy_(torch.as_tensor(of, device=out.device) > 0)
        return out.copy_(args[0] > 0) if name == "bernoulli" else out


def _seed(seed: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Seed what an operation may draw from.

    Seeding all devices takes longer than most operations, and most draws are on the CPU.
    """
    devices: set[Any] = {x.device for x in args if isinstance(x, Tensor)}
    if (devices or {kwargs.get("device")}) == {torch.device("cpu")}:
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def alike_draws() -> Iterator[None]:
    """Make a context in which models of any width draw the same random numbers.

    The global generators of torch, NumPy and Python are left as they were.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        try:
            torch.manual_seed(_SEED)
            random.seed(_SEED)
            np.random.seed(_SEED)  # noqa: NPY002
            with _AlikeDraws():
                yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
