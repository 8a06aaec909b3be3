"""A callback for the Trainer of Hugging Face."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch

from l0.common.errors import InputError
from l0.networks.loops import add_gradient, holds_gates
from l0.networks.sparsifier import Sparsifier

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import ExportableState
except ImportError:
    raise ImportError(
        "l0.networks.transformers needs transformers: pip install transformers accelerate"
    ) from None


class SparsifierCallback(TrainerCallback, ExportableState):
    """Holds a model to its budget in a `transformers.Trainer`.

    Adds the penalty's gradient once a step of the optimiser, however many batches that takes, and
    calls :meth:`l0.Sparsifier.step` after it. The sparsifier's state goes into the checkpoints.

    Parameters
    ----------
    sparsifier : Sparsifier
        Of the Trainer's model, or of a module inside it. The Trainer is given an optimiser made of
        :meth:`l0.Sparsifier.param_groups`: ``Trainer(..., optimizers=(optimizer, None))``.
    """

    def __init__(self, sparsifier: Sparsifier) -> None:
        self.sparsifier = sparsifier
        self._hooks: list[Any] = []

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse to be made anew from a checkpoint, which holds no sparsifier."""
        if args.restore_callback_states_from_checkpoint:
            raise InputError(
                "`restore_callback_states_from_checkpoint` makes callbacks anew; leave it False, "
                "this one restores itself"
            )

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Go on from a checkpoint, if that is what the Trainer does, and follow the optimiser.

        Hooks of the optimiser run where gradients are accumulated and unscaled, and not at all
        where a step is skipped; the events of the Trainer come too early for that.
        """
        if state.global_step:
            self._resume(state)
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        if not holds_gates(optimizer, self.sparsifier):
            raise InputError(
                "`optimizers` of the Trainer has none with the gates; give it one made of "
                "sparsifier.param_groups(lr=...)"
            )
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(lambda *_: self.sparsifier.step()),
        ]

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the optimiser."""
        while self._hooks:
            self._hooks.pop().remove()

    def state(self) -> dict[str, Any]:
        """Return the sparsifier's state as JSON can hold it; the gates are saved with the model."""
        state = {k: v for k, v in self.sparsifier.state_dict().items() if k != "gates"}
        file = io.BytesIO()
        torch.save(state, file)
        packed = base64.b64encode(file.getvalue()).decode()
        return {"args": {}, "attributes": {"packed": packed}}

    def _resume(self, state: TrainerState) -> None:
        callbacks: Any = state.stateful_callbacks
        saved = callbacks.get(type(self).__name__)
        if saved is None:
            raise InputError("the checkpoint was made without a SparsifierCallback; start anew")
        file = io.BytesIO(base64.b64decode(saved["attributes"]["packed"]))
        loaded = torch.load(file, weights_only=True)
        self.sparsifier.load_state_dict({**self.sparsifier.state_dict(), **loaded})

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        # Fused optimisers undo the scaling of gradients themselves, by this number.
        scale = getattr(optimizer, "grad_scale", None)
        add_gradient(self.sparsifier, 1.0 if scale is None else scale)
