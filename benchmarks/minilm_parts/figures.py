"""What a student is judged by, on glosses that no training saw."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l0.networks import Budget, Latency, Macs
from minilm_parts.encoder import Batch, embedding

#: Passes over the held-out sentences that the time is the median of.
PASSES = 15


@dataclass(frozen=True)
class Quality:
    """How near a student's embeddings are to the teacher's.

    Attributes
    ----------
    cosine : float
        The mean cosine between the two embeddings of a sentence.
    agreement : float
        The share of sentences with the same nearest neighbour among the others.
    """

    cosine: float
    agreement: float

    def __str__(self) -> str:
        """Write both figures."""
        return f"cosine {self.cosine:.4f}, agreement {self.agreement:.4f}"


@dataclass(frozen=True)
class Limit:
    """What a student may cost: a share of the multiply-adds, and perhaps one of the time.

    Its widths are multiples of `round_to`.
    """

    macs: float
    latency: float | None = None
    round_to: int = 1

    @property
    def budgets(self) -> list[Budget]:
        """The budgets of `sparsify`."""
        return [Macs(self.macs), *([Latency(self.latency)] if self.latency else [])]

    @property
    def key(self) -> str:
        """The part of the names of files."""
        timed = f"-latency{self.latency:g}" if self.latency else ""
        return f"{self.macs:g}{timed}" + (f"-round{self.round_to}" if self.round_to > 1 else "")

    def __str__(self) -> str:
        """Write it as arguments of `sparsify`."""
        macs = f"Macs({self.macs:g})"
        budget = f"[{macs}, Latency({self.latency:g})]" if self.latency else macs
        return budget + (f", round_to={self.round_to}" if self.round_to > 1 else "")


@dataclass(frozen=True)
class Row:
    """A student, how near it is to the teacher, and what its training took."""

    name: str
    limit: Limit | None
    student: nn.Module
    quality: Quality
    steps: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class HeldOut:
    """Batches of held-out sentences, and the teacher's embeddings of them."""

    batches: list[Batch]
    embeddings: Tensor

    @classmethod
    def of(cls, teacher: nn.Module, batches: list[Batch]) -> HeldOut:
        """Embed the batches with the teacher."""
        return cls(batches, embed(teacher, batches))

    def judge(self, student: nn.Module) -> Quality:
        """Compare a student with the teacher; the student is in training mode after it."""
        found = embed(student, self.batches)
        same = nearest(found) == nearest(self.embeddings)
        cosine = (found * self.embeddings).sum(1).mean()
        return Quality(float(cosine), float(same.float().mean()))


@torch.no_grad()
def embed(model: nn.Module, batches: list[Batch]) -> Tensor:
    """Return the embeddings of all sentences, in evaluation mode."""
    model.eval()
    found = torch.cat([embedding(model(**batch).last_hidden_state, batch) for batch in batches])
    model.train()
    return found


def nearest(embeddings: Tensor) -> Tensor:
    """Return for each sentence the other one of largest cosine."""
    cosines = embeddings @ embeddings.T
    return cosines.fill_diagonal_(-2).argmax(1)


def seconds_each(models: list[nn.Module], batches: list[Batch]) -> list[float]:
    """Return the CPU seconds that each model takes for a sentence, on one thread.

    The models take turns, and the time is the median of their passes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[list[float]] = [[] for _ in models]
    n_sentences = sum(len(batch["input_ids"]) for batch in batches)
    for _ in range(PASSES):
        for model, times in zip(models, found, strict=True):
            start = time.process_time()
            embed(model, batches)
            times.append((time.process_time() - start) / n_sentences)
    torch.set_num_threads(threads)
    return [statistics.median(times) for times in found]


def linear_macs(model: nn.Module) -> int:
    """Count the multiply-adds of the linear layers for one token."""
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))


def architecture(model: nn.Module) -> str:
    """Write the heads and the feed-forward units of each block, like 9+580 10+610."""
    return " ".join(
        f"{block.attention.self.query.out_features // block.attention.self.attention_head_size}"
        f"+{block.intermediate.dense.out_features}"
        for block in model.encoder.layer
    )
