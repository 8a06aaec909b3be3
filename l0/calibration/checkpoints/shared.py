"""The stages of a run on several ranks: rank 0 has the checkpoint, and all ranks go on alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from l0.calibration.checkpoints.fingerprint import differences
from l0.calibration.checkpoints.folder import Folder
from l0.calibration.checkpoints.packing import from_bytes, packed, to_bytes, unpacked
from l0.calibration.checkpoints.stages import Changing, KeptStages, Result
from l0.common.errors import SHOWN, InputError
from l0.common.ranks import RankLost, Ranks


class SharedStages(KeptStages):
    """Stages that all ranks compute, or that rank 0 takes from a folder and gives to all.

    After each stage, the ranks compare what they have. They would differ on machines that round
    differently.

    Parameters
    ----------
    folder : Folder
        Only that of rank 0 is used.
    generator : numpy.random.Generator
    history : Changing
    ranks : Ranks
    """

    def __init__(
        self, folder: Folder, generator: np.random.Generator, history: Changing, ranks: Ranks
    ) -> None:
        super().__init__(folder, generator, history)
        self._ranks = ranks

    def once(self, stage: str, kind: type[Result], compute: Callable[[], Result]) -> Result:
        """See `Stages.once`."""
        found = super().once(stage, kind, compute)
        if self._open:
            others = self._ranks.of_all(_digest(found))
            if off := [rank for rank, other in enumerate(others) if other != others[0]]:
                raise RankLost(
                    f"rank {off[0]} has other numbers than rank 0 after the stage {stage!r}; run "
                    "all ranks on machines of one kind"
                )
        return found

    def _found(self, kind: type[Result]) -> Result | None:
        found: list[Result | None] = [None]

        def look() -> bytes:
            found[0] = super(SharedStages, self)._found(kind)
            return b"" if found[0] is None else to_bytes(self._content(found[0]))

        content = self._ranks.of_first(look)
        if content and not self._ranks.is_first:
            there = from_bytes(content)
            self._continue_from(there)
            found[0] = unpacked(kind, there.part("result"))
        return found[0]

    def _write(self, loop: int, result: object) -> None:
        if self._ranks.is_first:
            super()._write(loop, result)


def check_alike(ranks: Ranks, run: Mapping[str, Any]) -> None:
    """Check that all ranks have the same problem, arguments, versions and number of threads.

    The number of threads decides which products are shared, so that ranks with other numbers could
    wait for each other; and it changes how numbers are rounded, as versions do.

    Raises
    ------
    InputError
        It names a rank, and what it has that rank 0 has not.
    """
    # Other instructions would round differently.
    versions = {**run["versions"], "the CPU": torch.backends.cpu.get_cpu_capability()}
    runs = [json.loads(text) for text in ranks.of_all(json.dumps({**run, "versions": versions}))]
    for rank, other in enumerate(runs):
        if found := differences(runs[0], other):
            shown = "; ".join(found[:SHOWN])
            raise InputError(
                f"`distributed`: rank {rank} has not what rank 0 has ({shown}); give all ranks the "
                "same files, options, packages and OMP_NUM_THREADS"
            )


def _digest(result: object) -> str:
    return hashlib.sha256(to_bytes(packed(result=result))).hexdigest()
