"""A training loop of Hugging Face does what the plain loop does."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from l0.common.errors import InputError
from tests.networks.callback_runs import (
    BATCH,
    EPOCHS,
    PARTS,
    STEPS,
    assert_equal_runs,
    data,
    plain,
    start,
)


class WithLoss(torch.nn.Module):
    """Returns its loss, as the Trainer wants it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, labels):
        return {"loss": F.mse_loss(self.net(x), labels)}


def hf_train(run, folder, resume=None, **options):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from l0.networks.transformers import SparsifierCallback

    model, sparsifier, optimizer = run
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=PARTS,
        max_grad_norm=0.0,
        save_steps=STEPS // 2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
        **options,
    )

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_):
            return None

    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    trainer = InOrder(
        WithLoss(model),
        arguments,
        train_dataset=[{"x": x, "labels": y} for x, y in zip(*data(), strict=True)],
        optimizers=(optimizer, constant),
        callbacks=[SparsifierCallback(sparsifier)],
    )
    trainer.train(resume_from_checkpoint=resume)
    return model, sparsifier


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_the_trainer_trains_as_the_plain_loop_does_and_resumes(gates, tmp_path):
    expected = plain(gates)
    assert_equal_runs(expected, hf_train(start(gates), tmp_path))
    resumed = hf_train(start(gates), tmp_path, resume=str(tmp_path / f"checkpoint-{STEPS // 2}"))
    assert_equal_runs(expected, resumed)


def test_the_trainer_needs_the_gates_in_a_group_of_their_own(tmp_path):
    model, sparsifier, _ = start("hadamard")
    with pytest.raises(InputError, match="gates need larger steps"):
        hf_train((model, sparsifier, torch.optim.Adam(model.parameters())), tmp_path)


def test_the_trainer_shall_not_make_callbacks_anew(tmp_path):
    with pytest.raises(InputError, match="`restore_callback_states_from_checkpoint`"):
        hf_train(start("hadamard"), tmp_path, restore_callback_states_from_checkpoint=True)


def test_a_training_that_an_error_has_ended_leaves_no_hooks():
    pytest.importorskip("transformers")
    from l0.networks.transformers import SparsifierCallback

    model, sparsifier, optimizer = start("hadamard")
    callback = SparsifierCallback(sparsifier)
    for _ in range(2):  # the first one never comes to its end
        callback.on_train_begin(None, SimpleNamespace(global_step=0), None, optimizer=optimizer)
    model(data()[0][:2]).sum().backward()
    optimizer.step()
    assert sparsifier.steps == 1


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "transformers" or name == "l0.networks.transformers":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install transformers accelerate$"):
        importlib.import_module("l0.networks.transformers")
