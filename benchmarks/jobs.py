"""Jobs in processes of their own, one process each or several ranks, whose memory is their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from environments import call

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def run_json(
    threads: int, script: Path, *words: object, ranks: int = 1, **environment: str
) -> dict[str, Any]:
    """Run a script, with more in its environment, and read the last line that it prints.

    Several ranks have so many threads each, and rank 0 prints.
    """
    started = (*TORCHRUN, ranks) if ranks > 1 else ()
    command = (sys.executable, *started, script, *words)
    printed = call(*command, OMP_NUM_THREADS=str(threads), **environment)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found
