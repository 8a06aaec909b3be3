"""What the models with a hard-concrete gate on each column of a matrix share: gates and fit."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from l0.common.devices import checked_device
from l0.common.dtypes import at_least_float32, without_autocast
from l0.common.errors import InputError
from l0.common.formatting import counted
from l0.common.sparse_rows import narrow
from l0.common.validation import (
    as_csr,
    checked_matrix,
    checked_vector,
    not_negative,
    positive,
    whole_number,
)
from l0.gated_linear.fit_state import (
    FIT,
    Moments,
    generator_with,
    give_moments,
    moments_of,
    packed,
    unpacked_moments,
)
from l0.hard_concrete import hard_concrete, logistic_noise, open_probability
from l0.sparse_operator import SparseOperator

logger = logging.getLogger(__name__)

#: Names of the generators: of the noise of a fit, and of samples that are only looked at.
GENERATORS = ("fitting", "looking")
#: The sigmoid of log alpha starts at least this far from 0 and 1, where its logit is infinite.
EDGE = 1e-6
LARGEST_SEED = 2**64 - 1


class GatedColumns(nn.Module):
    """Gates on the columns of a matrix, products with it, and a fit by Adam that can go on.

    Parameters
    ----------
    n_features : int
        Number of columns n.
    beta, gamma, zeta : float
        The temperature > 0, and the ends < 0 and > 1 of the stretched interval.
    init_keep_prob : float or array of shape (n,)
        sigmoid(log alpha) at the start.
    log_alpha_jitter_sd : float
        Standard deviation of the noise on log alpha at the start.
    device : torch.device or str, optional
    seed : int, optional
        Seed of all random numbers of the model; None uses torch's global generator.

    Attributes
    ----------
    log_alpha : nn.Parameter, shape (n,)
        The location of each gate.
    """

    log_alpha: nn.Parameter

    def __init__(
        self,
        n_features: int,
        *,
        beta: float,
        gamma: float,
        zeta: float,
        init_keep_prob: float | ArrayLike,
        log_alpha_jitter_sd: float,
        device: str | torch.device | None,
        seed: int | None,
    ) -> None:
        super().__init__()
        if not (-math.inf < gamma < 0 and 1 < zeta < math.inf):
            raise InputError(
                f"`gamma` is {gamma!r} and `zeta` {zeta!r}; `gamma` must be below 0 and `zeta` "
                "above 1, or no gate is ever exactly 0 or 1; the paper uses -0.1 and 1.1"
            )
        self.n_features = whole_number(n_features, "n_features", 1)
        self.beta, self.gamma, self.zeta = positive(beta, "beta"), float(gamma), float(zeta)
        self.seed = seed
        device = checked_device(device)
        # Two generators, so that samples drawn between fits do not change the fit.
        self._fitting = _generator(device, seed)
        self._looking = _generator(device, seed)
        probability = self._each(init_keep_prob, "init_keep_prob")
        if not ((probability >= 0) & (probability <= 1)).all():
            raise InputError("`init_keep_prob` must lie between 0 and 1; 0.5 is usual")
        jitter = not_negative(log_alpha_jitter_sd, "log_alpha_jitter_sd")
        log_alpha = torch.logit(probability.to(device), eps=EDGE)
        self.log_alpha = nn.Parameter(log_alpha + jitter * self._normal(log_alpha))
        #: The state of Adam at the end of the last fit, or None before the first one.
        self._adam: Moments | None = None
        self._in_fit = False
        self._map: SparseOperator | None = None
        self._map_of: tuple[object, ...] = ()

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.log_alpha.device

    def get_deterministic_gates(self) -> Tensor:
        """Return the median gates, differentiable.

        Returns
        -------
        Tensor, shape (n_features,)
            Gates in [0, 1].
        """
        return self._gates(deterministic=True)

    def get_l0_penalty(self) -> Tensor:
        """Return the expected number of gates that are not 0, differentiable.

        Returns
        -------
        Tensor, shape ()
        """
        return open_probability(
            at_least_float32(self.log_alpha), self.beta, self.gamma, self.zeta
        ).sum()

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return (
            f"n_features={self.n_features}, beta={self.beta:g}, gamma={self.gamma:g}, "
            f"zeta={self.zeta:g}"
        )

    def _gates(self, deterministic: bool) -> Tensor:
        log_alpha = at_least_float32(self.log_alpha)
        stream = self._fitting if self._in_fit else self._looking
        noise = 0.0 if deterministic else logistic_noise(log_alpha, stream)
        return hard_concrete(log_alpha, noise, self.beta, self.gamma, self.zeta)

    def _normal(self, like: Tensor) -> Tensor:
        device = like.device if self._fitting is None else self._fitting.device
        noise = torch.randn(like.shape, generator=self._fitting, dtype=like.dtype, device=device)
        return noise.to(like.device)

    def _each(self, values: float | ArrayLike, argument: str) -> Tensor:
        """Return one number for each column as float32; a single number serves all columns."""
        values = to_host(values)
        if np.ndim(values) == 0:
            values = np.full(self.n_features, values)
        if np.shape(values) != (self.n_features,):
            # Code written for 0.6 looks for these words.
            raise InputError(
                f"`{argument}` must have shape ({self.n_features},), one number for each feature, "
                f"got {np.shape(values)}"
            )
        vector = checked_vector(values, self.n_features, argument, "features")
        return torch.tensor(vector, dtype=torch.float32)  # a copy: it may be read-only

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _operator(self, matrix: Any, argument: str, rows: str) -> SparseOperator:
        """Prepare a matrix for products, or return the last one if the content is the same."""
        source = to_csr(matrix, argument)
        # Compare the content, because a matrix may be changed in place.
        parts = (source.data, source.indices, source.indptr)
        content = [zlib.crc32(np.ascontiguousarray(part).data) for part in parts]
        known_by = (source.shape, source.dtype, self.device, *content)
        if self._map is None or known_by != self._map_of:
            checked = narrow(checked_matrix(source, argument))
            m, n = checked.shape
            if n != self.n_features:
                raise InputError(
                    f"`{argument}` has {counted(n, 'column')}, but the model has "
                    f"{self.n_features:,} features; pass a row for each of the {rows} and a column "
                    "for each feature"
                )
            self._map = SparseOperator.from_scipy(checked, np.ones(m), np.ones(n), self.device)
            self._map_of = known_by
        return self._map

    def _descend(
        self,
        parameters: Iterable[nn.Parameter],
        objective: Callable[[], Tensor],
        lr: float,
        epochs: int,
        report: Callable[[int, float], None] | None,
    ) -> None:
        """Take steps of Adam, and begin with the state of the last fit."""
        optimizer = torch.optim.Adam(parameters, lr=lr, fused=True)
        names: dict[Tensor, str] = {each: name for name, each in self.named_parameters()}
        if self._adam is not None:
            give_moments(optimizer, names, self._adam)
        self._in_fit = True
        try:
            with without_autocast(self.device):
                for epoch in range(epochs):
                    optimizer.zero_grad()
                    loss = objective()
                    loss.backward()
                    optimizer.step()
                    if report is not None:
                        report(epoch + 1, float(loss.detach()))
        finally:  # so that an interrupted fit can go on from here
            optimizer.zero_grad()
            self._adam = {**(self._adam or {}), **moments_of(optimizer, names)}
            self._in_fit = False

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._adam is not None:
            generators = {name: getattr(self, f"_{name}") for name in GENERATORS}
            for name, tensor in packed(self._adam, generators).items():
                destination[prefix + name] = tensor

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # `load_state_dict` hands over a dictionary of its own.
        of_fit = {
            key.removeprefix(prefix): state_dict.pop(key)
            for key in list(state_dict)
            if key.startswith(prefix + FIT)
        }
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        self._resume(of_fit, error_msgs)
        if strict:
            unexpected_keys += [prefix + key for key in of_fit]

    def _resume(self, of_fit: dict[str, Tensor], error_msgs: list[str]) -> None:
        """Go on from the state of a fit. What is not known stays in the dictionary."""
        self._adam = None  # its moments belong to the old parameters
        if not of_fit:
            return
        moments, errors = unpacked_moments(of_fit, self.named_parameters())
        error_msgs += errors
        if not errors:
            self._adam = moments
        for name in GENERATORS:
            self._give_generator(name, of_fit.pop(f"{FIT}generator.{name}", None))

    def _give_generator(self, name: str, state: Tensor | None) -> None:
        if state is None:
            return
        generator = generator_with(state, self.device)
        if generator is None:
            logger.warning(
                "the state has random numbers of a device that is not here; the fit goes on "
                "with others"
            )
        else:
            setattr(self, f"_{name}", generator)

    def __getstate__(self) -> dict[str, Any]:
        # The matrix belongs to the caller: a copy or a pickle of the model does not contain it.
        # A generator of a GPU cannot be read where there is none, and its state can.
        generators = {f"_{name}": getattr(self, f"_{name}") for name in GENERATORS}
        states = {name: each and each.get_state() for name, each in generators.items()}
        return {**self.__dict__, **states, "_map": None, "_map_of": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        states = {name: state[f"_{name}"] for name in GENERATORS}
        state = {**state, **{f"_{name}": None for name in GENERATORS}}
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for name, each in states.items():
            self._give_generator(name, each)


def _generator(device: torch.device, seed: int | None) -> torch.Generator | None:
    if seed is None:
        return None
    seed = whole_number(seed, "seed", 0, LARGEST_SEED, "the largest that torch takes")
    return torch.Generator(device).manual_seed(seed)


def to_host(values: Any) -> Any:
    """Convert a tensor to a numpy array; return other values as they are."""
    if not isinstance(values, Tensor):
        return values
    # numpy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).detach().cpu().numpy()


def to_csr(matrix: Any, argument: str) -> sp.csr_array:
    """Convert a sparse or dense matrix of scipy, numpy or torch to CSR, without a needless copy."""
    if isinstance(matrix, Tensor) and matrix.layout != torch.strided:
        if matrix.ndim != 2:
            raise InputError(f"`{argument}` has shape {tuple(matrix.shape)}; pass two dimensions")
        rows = matrix.detach().cpu().to_sparse_csr()
        parts = tuple(map(to_host, (rows.values(), rows.col_indices(), rows.crow_indices())))
        matrix = sp.csr_array(parts, shape=tuple(rows.shape))
    return as_csr(to_host(matrix), argument)
