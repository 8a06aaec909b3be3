"""A callback for the Trainer of Hugging Face."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch

from l0.common.errors import InputError
from l0.networks.callback_helpers import add_gradient, holds_gates
from l0.networks.sparsifier import Sparsifier

__all__ = ["SparsifierCallback"]

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import ExportableState
except ImportError:
    raise ImportError(
        "l0.networks.transformers needs transformers: pip install transformers accelerate"
    ) from None


class SparsifierCallback(TrainerCallback, ExportableState):
    """A callback that trains a model down to its budget in a `transformers.Trainer`.

    At each step of the optimiser, the callback adds the gradient of the penalty once, for any
    number of accumulated batches, and calls :meth:`l0.Sparsifier.step` after the step. The
    checkpoints contain the state of the sparsifier.

    Parameters
    ----------
    sparsifier : Sparsifier
        The sparsifier of the Trainer's model, or of a module inside it. Give the Trainer an
        optimiser from :meth:`l0.Sparsifier.param_groups`.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from l0.networks.transformers import SparsifierCallback
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
    >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3), total_steps=1000)
    >>> optimizer = torch.optim.AdamW(sparsifier.param_groups(lr=1e-4))
    >>> callback = SparsifierCallback(sparsifier)
    >>> trainer = transformers.Trainer(  # doctest: +SKIP
    ...     model, arguments, optimizers=(optimizer, None), callbacks=[callback]
    ... )
    """

    def __init__(self, sparsifier: Sparsifier) -> None:
        self.sparsifier = sparsifier
        self._hooks: list[Any] = []

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise an error if the Trainer would make a new callback, which has no sparsifier."""
        if args.restore_callback_states_from_checkpoint:
            raise InputError(
                "`restore_callback_states_from_checkpoint` replaces the callbacks by new ones; "
                "leave it False, because SparsifierCallback restores its state itself"
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
        """Restore the state if the Trainer resumes, and register hooks on the optimiser.

        The hooks of the optimiser run after gradients are accumulated and unscaled, and they do
        not run if a step is skipped. The events of the Trainer come too early for both.
        """
        if state.global_step:
            self._resume(state)
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        if not holds_gates(optimizer, self.sparsifier):
            raise InputError(
                "`optimizers` of the Trainer has no optimiser with the gates; give it one made "
                "from sparsifier.param_groups(lr=...)"
            )
        self._remove_hooks()  # those of a training that an error has ended
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(lambda *_: self.sparsifier.step()),
        ]

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remove the hooks from the optimiser."""
        self._remove_hooks()

    def state(self) -> dict[str, Any]:
        """Return the sparsifier's state as JSON, without the gates, which the model contains."""
        state = {k: v for k, v in self.sparsifier.state_dict().items() if k != "gates"}
        file = io.BytesIO()
        torch.save(state, file)
        packed = base64.b64encode(file.getvalue()).decode()
        return {"args": {}, "attributes": {"packed": packed}}

    def _resume(self, state: TrainerState) -> None:
        callbacks: Any = state.stateful_callbacks
        saved = callbacks.get(type(self).__name__)
        if saved is None:
            raise InputError(
                "`resume_from_checkpoint` names a checkpoint without the state of a "
                "SparsifierCallback; start the training again"
            )
        file = io.BytesIO(base64.b64decode(saved["attributes"]["packed"]))
        loaded = torch.load(file, weights_only=True)
        gates = self.sparsifier.state_dict()["gates"]  # the Trainer has restored the model
        self.sparsifier.load_state_dict({"gates": gates, **loaded})

    def _remove_hooks(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        # A fused optimiser undoes the scaling of the gradients itself, with this factor.
        scale = getattr(optimizer, "grad_scale", None)
        add_gradient(self.sparsifier, 1.0 if scale is None else scale)
