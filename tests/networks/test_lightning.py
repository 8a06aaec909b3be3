"""A training loop of Lightning does what the plain loop does."""

import importlib
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

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

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",  # says Lightning of its data loader
    "ignore:.*LeafSpec.* is deprecated",  # torch says to Lightning
    "ignore:GPU available but not used",
)


def fit(run, folder, epochs=EPOCHS, ckpt_path=None, **options):
    lightning = pytest.importorskip("lightning.pytorch")
    from l0.networks.lightning import SparsifierCallback

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    model, sparsifier, optimizer = run

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model

        def training_step(self, batch):
            x, y = batch
            return F.mse_loss(self.net(x), y)

        def configure_optimizers(self):
            return optimizer

    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        accumulate_grad_batches=PARTS,
        callbacks=[SparsifierCallback(sparsifier)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(Module(), DataLoader(TensorDataset(*data()), BATCH), ckpt_path=ckpt_path)
    trainer.save_checkpoint(folder / "run.ckpt")
    return model, sparsifier


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_lightning_trains_as_the_plain_loop_does(gates, tmp_path):
    assert_equal_runs(plain(gates), fit(start(gates), tmp_path))


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_lightning_resumes(gates, tmp_path):
    fit(start(gates), tmp_path, epochs=1)
    resumed = fit(start(gates), tmp_path, ckpt_path=tmp_path / "run.ckpt")
    assert_equal_runs(plain(gates), resumed)


def test_a_training_that_an_error_has_ended_leaves_no_hook():
    pytest.importorskip("lightning.pytorch")
    from l0.networks.lightning import SparsifierCallback

    model, sparsifier, optimizer = start("hadamard")
    callback = SparsifierCallback(sparsifier)
    for _ in range(2):  # the first one never comes to its end
        callback.on_train_start(SimpleNamespace(optimizers=[optimizer]), None)
    model(data()[0][:2]).sum().backward()
    optimizer.step()
    assert sparsifier.steps == 1


@pytest.mark.parametrize("fused", [False, True])
def test_lightning_scales_gradients_of_half_precision(fused, tmp_path):
    pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.plugins import MixedPrecision

    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    model, sparsifier = fit(start("hadamard", fused), tmp_path, plugins=[plugin])
    assert sparsifier.steps == STEPS
    # Numbers of half precision are rounded; a penalty at the wrong scale would be off by 256.
    for one, other in zip(plain("hadamard")[1].gates, sparsifier.gates, strict=True):
        assert torch.allclose(one.gate.v, other.gate.v, atol=0.02)


def test_lightning_needs_the_gates_in_a_group_of_their_own(tmp_path):
    model, sparsifier, _ = start("hadamard")
    with pytest.raises(InputError, match="gates need larger steps"):
        fit((model, sparsifier, torch.optim.Adam(model.parameters())), tmp_path)
    weights = [p for name, p in model.named_parameters() if not name.endswith("gate.v")]
    with pytest.raises(InputError, match="no optimiser with the gates"):
        fit((model, sparsifier, torch.optim.Adam(weights)), tmp_path)


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "lightning" or name == "l0.networks.lightning":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(ImportError, match="pip install lightning$"):
        importlib.import_module("l0.networks.lightning")
