"""What commands print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from l0.cli.options import written_options
from l0.cli.wording import as_options

#: What notes name beside the options of a fit.
_OTHERS = {
    "n_records": "--n-records",
    "method": "--method",
    "max_loss": "--max-loss",
    "max_untargeted": "--max-untargeted",
    "Solver": "--solver",
}


def worded(note: str) -> str:
    """Write a note in the words of the command line."""
    return as_options(note, written_options() | _OTHERS)


def summary_of(result: Any) -> str:
    """Write the summary of a result, with notes in the words of the command line."""
    notes = [worded(note) for note in result.run["notes"]]
    text: str = replace(result, run={**result.run, "notes": notes}).summary()
    return text


def conclude(
    metrics: Mapping[str, Any], text: str, written: Path, quiet: bool, as_json: bool
) -> None:
    """Print the metrics as JSON, or a text, or nothing."""
    if as_json:
        typer.echo(json.dumps(metrics, allow_nan=False))
    elif not quiet:
        typer.echo(f"{text}\n\nWritten to {written}")


def say(notes: list[str]) -> None:
    """Show what a written file could not hold."""
    for note in notes:
        typer.echo(f"l0: note: {note}", err=True)
