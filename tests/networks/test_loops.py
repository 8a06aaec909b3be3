"""Training loops of Lightning and Hugging Face do what the plain loop does."""

import importlib
import logging
import sys

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from l0.common.errors import InputError
from l0.networks import Params, sparsify
from tests.networks.nets import mlp

EPOCHS, STEPS, BATCH, PARTS = 2, 24, 8, 2

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",  # says Lightning of its data loader
    "ignore:.*LeafSpec.* is deprecated",  # torch says to Lightning
    "ignore:GPU available but not used",
)


def data():
    generator = torch.Generator().manual_seed(5)
    n = STEPS * PARTS * BATCH // EPOCHS
    return torch.randn(n, 12, generator=generator), torch.randn(n, 4, generator=generator)


def start(gates, fused=False):
    torch.manual_seed(6)
    model = mlp()
    sparsifier = sparsify(model, torch.randn(2, 12), Params(0.25), gates=gates, total_steps=STEPS)
    groups = sparsifier.param_groups(lr=1e-3, gate_lr=0.05)
    return model, sparsifier, torch.optim.Adam(groups, fused=fused)


def plain(gates):
    """The loop of the documentation, with gradients accumulated over two batches."""
    model, sparsifier, optimizer = start(gates)
    for i, (x, y) in enumerate(EPOCHS * list(DataLoader(TensorDataset(*data()), BATCH))):
        loss = F.mse_loss(model(x), y) / PARTS
        if i % PARTS == 0:
            loss = loss + sparsifier.penalty()
        loss.backward()
        if i % PARTS == PARTS - 1:
            optimizer.step()
            sparsifier.step()
            optimizer.zero_grad()
    return model, sparsifier


def assert_equal_runs(a, b):
    (model_a, a), (model_b, b) = a, b
    assert a.steps == b.steps == STEPS
    assert any(record["parameters multiplier"] > 0 for record in a.history)
    for one, other in zip(a.history, b.history, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    b_state = model_b.state_dict()
    for key, value in model_a.state_dict().items():
        assert torch.allclose(value, b_state[key], rtol=1e-4, atol=1e-5), key


# Lightning


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


# Hugging Face


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


@pytest.mark.parametrize(
    ("library", "packages"),
    [("lightning", "lightning"), ("transformers", "transformers accelerate")],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    library, packages, monkeypatch
):
    for name in list(sys.modules):
        if name.split(".")[0] == library or name == f"l0.networks.{library}":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"needs {library}: pip install {packages}$"):
        importlib.import_module(f"l0.networks.{library}")
