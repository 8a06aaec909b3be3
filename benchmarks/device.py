"""Every CUDA path of the package in one command: checked, and measured beside the CPU.

``python benchmarks/device.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import sys
from pathlib import Path
from typing import Any

#: What this command imports itself.
NEEDED = ("torch", "numpy", "scipy", "pyarrow", "narwhals")
#: A name of every part of `l0` that is checked: taking it imports what the part needs.
NAMES = {
    "l0.calibration": "CalibrationProblem",
    "l0.gates": "SampleGate",
    "l0": "SparseL0Linear",
    "l0.networks": "sparsify",
}
#: Shares of the time; what a part does not use, the later ones share.
SHARES = {"checks": 0.25, "epochs": 0.2, "solve": 0.35, "peer": 0.12, "lenet": 0.08}


def missing_packages() -> list[str]:
    """Name packages that cannot be imported here; of those that `l0` needs, the first."""
    missing = [name for name in (*NEEDED, "l0") if importlib.util.find_spec(name) is None]
    if missing:
        return missing
    try:
        for module, name in NAMES.items():
            getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        return [error.name or str(error)]
    return []


def explain(missing: list[str]) -> str:
    """Say how to bring what is missing."""
    lines = [f"missing here: {', '.join(missing)}"]
    others = [name for name in missing if name != "l0"]
    if "l0" in missing:
        lines.append("run from the root of the checkout, with `PYTHONPATH=.`")
    if others:
        lines.append(
            f"elsewhere, with the same version of Python: `pip install --no-deps --target FOLDER "
            f"{' '.join(others)}`; bring the folder, and pass `--packages FOLDER`"
        )
    return "\n".join(lines)


def find_device(cpu: bool) -> tuple[Any, str]:
    """Give the device to measure, and why it is missing where it is."""
    import torch

    if cpu:
        return torch.device("cpu"), ""
    here = torch.cuda.is_available()
    return torch.device("cuda"), "" if here else "no CUDA device here (`--cpu` runs it on the CPU)"


def describe(device: Any, missing: str, options: argparse.Namespace) -> dict[str, Any]:
    """Say what runs this, and on what."""
    from importlib.metadata import version

    import torch

    card = ""
    if device.type == "cuda" and not missing:
        properties = torch.cuda.get_device_properties(device)
        card = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
    return {
        "device": card or (missing or "the CPU"),
        "processor": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "versions": {name: version(name) for name in NEEDED},
        "quick": options.quick,
        "minutes": options.minutes,
        "parts": options.parts,
    }


def run(options: argparse.Namespace) -> int:
    """Run the parts that were asked for, in their order; fail where a row failed."""
    # Imported only now: `--packages` had to come first.
    import torch
    from device_parts import checks, epochs, lenet, peer, solves
    from device_parts.bench import Bench
    from device_parts.problems import Problems
    from device_parts.report import Clock, Report

    if options.threads:
        torch.set_num_threads(options.threads)
    device, missing = find_device(options.cpu)
    about = describe(device, missing, options)
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    parts = {
        "checks": checks.run,
        "epochs": epochs.run,
        "solve": solves.run,
        "peer": peer.run,
        "lenet": lenet.run,
    }
    wanted = {name: part for name, part in parts.items() if name in options.parts}
    clock = Clock(60 * options.minutes, {name: SHARES[name] for name in wanted})
    report = Report(about, clock, options.json)
    bench = Bench(
        device, missing, options.quick, report, Problems(options.quick), options.peer,
        options.mnist, options.packages,
    )  # fmt: skip
    for part in wanted.values():
        part(bench)
    counts = {
        status: sum(row.status == status for row in report.rows)
        for status in ("ok", "FAIL", "skipped")
    }
    print("\n" + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if report.failed else 0


def main() -> int:
    """Read the options, make sure that all packages are there, and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--minutes", type=float, default=8.0, help="what does not fit is skipped")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the command")
    parser.add_argument("--cpu", action="store_true", help="everything on the CPU")
    parser.add_argument("--json", type=Path, help="file for all rows, with the errors in full")
    parser.add_argument("--peer", type=Path, help="folder that holds l0-python 0.6.2")
    parser.add_argument("--mnist", type=Path, help="folder of the original idx files")
    parser.add_argument("--packages", type=Path, help="folder of packages that are not installed")
    parser.add_argument("--threads", type=int, help="of the CPU; torch decides by default")
    options = parser.parse_args()
    if options.packages:
        sys.path.insert(0, str(options.packages.resolve()))
    if missing := missing_packages():
        print(explain(missing))
        return 2
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
