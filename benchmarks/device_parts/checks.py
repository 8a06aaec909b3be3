"""Every path of the package that touches a device, each checked by a small function."""

from __future__ import annotations

import warnings

from device_parts import (
    check_calibration,
    check_gates,
    check_layers,
    check_models,
    check_networks,
    check_operator,
)
from device_parts.bench import Bench
from device_parts.compare import Check
from device_parts.report import Found
from device_parts.timing import synchronise, works

SUBJECTS = (
    check_operator,
    check_gates,
    check_calibration,
    check_models,
    check_layers,
    check_networks,
)
CHECKS: dict[str, Check] = {
    name: check for subject in SUBJECTS for name, check in subject.CHECKS.items()
}


def run(bench: Bench) -> None:
    """Run every check on the device; one that fails stops no other."""
    bench.report.begin("checks", f"Checks of every path on {bench.device.type}")
    missing = bench.missing
    for name, check in CHECKS.items():
        if missing:
            bench.report.skip(name, missing)
            continue

        def one(check: Check = check) -> Found:
            with warnings.catch_warnings():
                # Of torch, about itself: nested tensors, layouts in beta.
                warnings.simplefilter("ignore", UserWarning)
                note = check(bench.device)
            # An error of a kernel may come up only here, and belongs to this check.
            synchronise(bench.device)
            return note or "", {}

        if not bench.report.attempt(name, one) and not works(bench.device):
            missing = f"the device has answered nothing since {name!r}; run the other parts alone"
