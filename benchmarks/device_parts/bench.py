"""What every part is given: devices, sizes, folders, problems and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from device_parts.problems import Problems
from device_parts.report import Report


@dataclass(frozen=True)
class Bench:
    """One run of the command.

    Attributes
    ----------
    device : torch.device
        The one that is measured: CUDA, or the CPU where that was asked for.
    missing : str
        Why there is no such device here; empty where there is.
    quick : bool
        Tiny sizes, to try the command itself.
    report : Report
    problems : Problems
    peer, mnist, packages : Path or None
        Folders that were given.
    """

    device: torch.device
    missing: str
    quick: bool
    report: Report
    problems: Problems
    peer: Path | None
    mnist: Path | None
    packages: Path | None

    @property
    def devices(self) -> list[torch.device]:
        """The CPU, and the device if it is another and is here."""
        cpu = torch.device("cpu")
        return [cpu] if self.device == cpu or self.missing else [cpu, self.device]
