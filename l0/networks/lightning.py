"""A callback for Lightning."""

from __future__ import annotations

from typing import Any

import torch

from l0.common.errors import InputError
from l0.networks.loops import add_gradient, holds_gates
from l0.networks.sparsifier import Sparsifier

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError:
    raise ImportError("l0.networks.lightning needs lightning: pip install lightning") from None


class SparsifierCallback(Callback):
    """Holds a model to its budget in a `lightning.pytorch.Trainer`.

    Adds the penalty's gradient once a step of the optimiser, however many batches that takes, and
    calls :meth:`l0.Sparsifier.step` after it. The sparsifier's state goes into the checkpoints.

    Parameters
    ----------
    sparsifier : Sparsifier
        Of a module inside the LightningModule, which trains it by automatic optimisation;
        `configure_optimizers` makes an optimiser of :meth:`l0.Sparsifier.param_groups`.
    """

    def __init__(self, sparsifier: Sparsifier) -> None:
        self.sparsifier = sparsifier
        self._hook: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow the steps of the optimiser, which are fewer than the batches."""
        for optimizer in trainer.optimizers:
            if holds_gates(optimizer, self.sparsifier):
                self._hook = optimizer.register_step_post_hook(lambda *_: self.sparsifier.step())
                return
        raise InputError(
            "`configure_optimizers` returns no optimiser with the gates; make one of "
            "sparsifier.param_groups(lr=...)"
        )

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the penalty's gradient; fused optimisers undo the scaling of gradients themselves."""
        if holds_gates(optimizer, self.sparsifier):
            scaler, fused = trainer.scaler, getattr(optimizer, "_step_supports_amp_scaling", False)
            add_gradient(self.sparsifier, scaler.get_scale() if scaler and fused else 1.0)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the optimiser."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def state_dict(self) -> dict[str, Any]:
        """Return the sparsifier's state, for a checkpoint."""
        return self.sparsifier.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.sparsifier.load_state_dict(state_dict)
