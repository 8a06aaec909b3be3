"""A sentence transformer of 22.7 million parameters within budgets, by distillation from itself.

``python benchmarks/minilm.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from checks import check
from minilm_parts import peer
from minilm_parts.distillation import RATE, Plan, gated, train
from minilm_parts.encoder import WORDNET, Batch, Sentences, load, read_glosses, tiny
from minilm_parts.figures import (
    HeldOut,
    Limit,
    Quality,
    Row,
    architecture,
    linear_macs,
    seconds_each,
)
from torch import nn

from l0 import networks

BATCH = 32
STEPS = 1200
OURS, PEER = "l0", "Torch-Pruning"

#: What each budget must reach: cosine, agreement, and how many times faster.
LIMITS = {0.5: (0.95, 0.72, 1.6), 0.25: (0.87, 0.50, 2.5)}

HEAD = """\
| model | budget | MACs % | parameters | cosine | agreement | ms a sentence | times faster \
| steps | CPU s | heads+units of each block |
|---|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Bench:
    """What all students of a run share.

    The students start as copies of the dense model. The teacher is the dense model, or a copy of
    it in half precision.
    """

    dense: nn.Module
    teacher: nn.Module
    glosses: Sentences
    example: Batch
    held_out: HeldOut
    plan: Plan
    seed: int
    folder: Path | None

    def row(self, name: str, limit: Limit) -> Row:
        """Train a student, or read it from the folder, where it is kept."""
        train_one = {OURS: self._ours, PEER: self._theirs}[name]
        if self.folder is None:
            return train_one(limit)
        file = self.folder / f"{name}-{limit.key}-{self.plan.steps}-{self.seed}.json"
        weights = file.with_suffix(".pt")
        if file.exists():
            kept = json.loads(file.read_text())
            student = networks.load(deepcopy(self.dense), weights)
            return Row(name, limit, student, Quality(*kept["quality"]), *kept["training"])
        row = train_one(limit)
        self.folder.mkdir(parents=True, exist_ok=True)
        networks.save(row.student, weights)
        quality = (row.quality.cosine, row.quality.agreement)
        training = (row.steps, row.cpu_seconds)
        file.write_text(json.dumps({"quality": quality, "training": training}))
        return row

    def _ours(self, limit: Limit) -> Row:
        """Close units during the first steps, and train the compact model in the others."""
        start = time.process_time()
        batches = self.glosses.batches(BATCH, self.seed)
        student = deepcopy(self.dense)
        student = gated(student, self.teacher, batches, self.example, limit, self.plan)
        return self._trained(OURS, limit, student, batches, self.plan.gated, start)

    def _theirs(self, limit: Limit) -> Row:
        """Cut at once, by the better of two ways before training, and train with all steps."""
        start = time.process_time()
        ways = (False, True)
        cuts = [peer.cut(self.dense, self.example, limit, way) for way in ways]
        found = [self.held_out.judge(cut).cosine for cut in cuts]
        print(f"{PEER} {limit}: cosine {found[0]:.3f} uniform, {found[1]:.3f} global", flush=True)
        student = cuts[found.index(max(found))]
        return self._trained(PEER, limit, student, self.glosses.batches(BATCH, self.seed), 0, start)

    def _trained(
        self,
        name: str,
        limit: Limit,
        student: nn.Module,
        batches: Iterator[Batch],
        done: int,
        start: float,
    ) -> Row:
        """Give a smaller model the steps that are left, and judge it."""

        def look(step: int) -> None:
            if self.plan.every and (done + step) % self.plan.every == 0:
                print(
                    f"{name} {limit}: {done + step} steps, {self.held_out.judge(student)}",
                    flush=True,
                )

        before = self.held_out.judge(student)
        print(f"{name} {limit}: {done} steps, {before}", flush=True)
        groups = [{"params": list(student.parameters()), "lr": RATE}]
        left = self.plan.steps - done
        seconds = self.plan.seconds
        steps = done + train(student, self.teacher, batches, groups, left, seconds, look=look)
        spent = time.process_time() - start
        return Row(name, limit, student, self.held_out.judge(student), steps, spent)


def table(rows: list[Row], held_out: HeldOut) -> tuple[list[str], list[float]]:
    """Return a line for each row, and how many times faster its model is than the first row's."""
    each = seconds_each([row.student for row in rows], held_out.batches[::4])
    lines = []
    for row, seconds in zip(rows, each, strict=True):
        macs = linear_macs(row.student) / linear_macs(rows[0].student)
        params = sum(p.numel() for p in row.student.parameters())
        budget = f"`{row.limit}`" if row.limit else "none"
        lines.append(
            f"| {row.name} | {budget} | {100 * macs:.1f} | {params:,} | {row.quality.cosine:.3f} "
            f"| {row.quality.agreement:.3f} | {1e3 * seconds:.2f} | {each[0] / seconds:.2f} "
            f"| {row.steps:,} | {row.cpu_seconds:,.0f} | {architecture(row.student)} |"
        )
    return lines, [each[0] / seconds for seconds in each]


def checked(rows: list[Row], faster: list[float]) -> bool:
    """Hold our rows to their limits, and to the peer's with the same share of multiply-adds."""
    passed = []
    timed = list(zip(rows, faster, strict=True))
    peers = {row.limit.macs: (row, times) for row, times in timed if row.name == PEER}
    for row, times in timed:
        if row.name != OURS:
            continue
        figures = {
            "cosine": row.quality.cosine,
            "agreement": row.quality.agreement,
            "times faster": times,
        }
        alone = LIMITS.get(row.limit.macs, ()) if row.limit.latency is None else ()
        for name, limit in zip(figures, alone, strict=False):
            passed.append(check(f"{row.limit}: {name}", figures[name], "at least", limit))
        if row.limit.macs in peers:
            other, others = peers[row.limit.macs]
            theirs = (other.quality.cosine, other.quality.agreement, others)
            for (name, value), limit in zip(figures.items(), theirs, strict=True):
                passed.append(check(f"{row.limit}: {name}, {PEER}'s", value, "at least", limit))
    return all(passed)


def read_arguments() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", type=float, nargs="+", default=list(LIMITS))
    parser.add_argument(
        "--latency",
        type=float,
        metavar="SHARE",
        help="a second student for each budget, which also takes at most this share of the time",
    )
    parser.add_argument(
        "--round-to", type=int, default=1, metavar="N", help="widths are multiples of N"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of {BATCH} glosses")
    parser.add_argument("--gated", type=int, help="steps with gates; a fifth by default")
    parser.add_argument(
        "--seconds", type=float, default=1800, help="the longest training of one student"
    )
    parser.add_argument("--every", type=int, default=0, help="steps between two looks: a curve")
    parser.add_argument(
        "--peer", action=argparse.BooleanOptionalAction, default=True, help=f"{PEER} beside it"
    )
    parser.add_argument(
        "--folder", type=Path, help="keeps the students, so that a stopped run can go on"
    )
    parser.add_argument("--wordnet", type=Path, default=WORDNET, help="folder of data.noun, ...")
    parser.add_argument("--held-out", type=int, default=2000, help="glosses for the figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="the teacher of the training in half precision: quicker where the processor has it",
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a small untrained model, to try the command itself"
    )
    return parser.parse_args()


def main() -> int:
    """Train and judge all students."""
    options = read_arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    warnings.filterwarnings("ignore", module="torch_pruning")
    glosses = read_glosses(options.wordnet)
    dense, sentences = (tiny if options.tiny else load)(glosses)
    # The embeddings of the tokens stay: they cost no multiply-adds, and half of the memory.
    dense.get_submodule("embeddings").requires_grad_(False)
    held_out = Sentences(sentences.tokens[: options.held_out]).sorted_batches(BATCH)
    training = Sentences(sentences.tokens[options.held_out :])
    gated_steps = options.gated or max(1, options.steps // 5)
    bench = Bench(
        dense,
        deepcopy(dense).bfloat16() if options.bfloat16 else dense,
        training,
        training.middle(BATCH),
        HeldOut.of(dense, held_out),
        Plan(options.steps, gated_steps, options.seconds, options.every),
        options.seed,
        options.folder,
    )
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
        f"{options.threads} thread(s), {datetime.date.today()}, {len(training):,} glosses for "
        f"training\n",
        flush=True,
    )
    rows = [Row("dense", None, dense, Quality(1.0, 1.0))]
    for share in options.budgets:
        limit = Limit(share, round_to=options.round_to)
        rows.append(bench.row(OURS, limit))
        if options.latency:
            rows.append(bench.row(OURS, replace(limit, latency=options.latency)))
        if options.peer:
            rows.append(bench.row(PEER, limit))
    lines, faster = table(rows, bench.held_out)
    print(f"\n{HEAD}", *lines, "", sep="\n")
    return 0 if checked(rows, faster) else 1


if __name__ == "__main__":
    sys.exit(main())
