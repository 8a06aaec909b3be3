"""A callback for the Trainer of Lightning."""

from __future__ import annotations

from typing import Any

import torch

from l0.common.errors import InputError
from l0.networks.callback_helpers import add_gradient, holds_gates
from l0.networks.sparsifier import Sparsifier

__all__ = ["SparsifierCallback"]

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:
    raise ImportError("l0.networks.lightning needs lightning: pip install lightning") from None


class SparsifierCallback(Callback):
    """A callback that trains a model down to its budget in a `lightning.pytorch.Trainer`.

    At each step of the optimiser, the callback adds the gradient of the penalty once, for any
    number of accumulated batches, and calls :meth:`l0.Sparsifier.step` after the step. The
    checkpoints contain the state of the sparsifier.

    Parameters
    ----------
    sparsifier : Sparsifier
        The sparsifier of a module inside the LightningModule. The LightningModule uses automatic
        optimisation, and its `configure_optimizers` makes an optimiser from
        :meth:`l0.Sparsifier.param_groups`.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from l0.networks.lightning import SparsifierCallback
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
    >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3), total_steps=1000)
    >>> callback = SparsifierCallback(sparsifier)
    >>> trainer = lightning.Trainer(callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(self, sparsifier: Sparsifier) -> None:
        self.sparsifier = sparsifier
        self._hook: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register a hook on the optimiser, whose steps may be fewer than the batches."""
        self._remove_hook()  # that of a training that an error has ended
        for optimizer in trainer.optimizers:
            if holds_gates(optimizer, self.sparsifier):
                self._hook = optimizer.register_step_post_hook(lambda *_: self.sparsifier.step())
                return
        raise InputError(
            "`configure_optimizers` returns no optimiser with the gates; make one from "
            "sparsifier.param_groups(lr=...)"
        )

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the gradient of the penalty, scaled like the other gradients at this point."""
        # A fused optimiser undoes the scaling itself, later than this hook.
        if holds_gates(optimizer, self.sparsifier):
            scaler, fused = trainer.scaler, getattr(optimizer, "_step_supports_amp_scaling", False)
            add_gradient(self.sparsifier, scaler.get_scale() if scaler and fused else 1.0)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the hook from the optimiser."""
        self._remove_hook()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the sparsifier for a checkpoint."""
        return self.sparsifier.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the sparsifier from a checkpoint."""
        self.sparsifier.load_state_dict(state_dict)

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
