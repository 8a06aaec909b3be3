"""The command for machines with a GPU, on the CPU: no check may fail where no device differs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*options, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "device.py"), *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_every_check_passes_on_the_cpu(tmp_path):
    file = tmp_path / "rows.json"
    done = run("--quick", "--cpu", "--parts", "checks", "--json", file)
    rows = json.loads(file.read_text())["rows"]
    failed = [f"{row['name']}: {row['traceback']}" for row in rows if row["status"] == "FAIL"]
    assert not failed, "\n".join(failed)
    assert done.returncode == 0, done.stderr
    assert sum(row["status"] == "ok" for row in rows) > 90


def test_without_a_device_everything_is_skipped_with_the_reason(tmp_path):
    file = tmp_path / "rows.json"
    # No device is visible, even where there is one.
    parts = ("--parts", "checks", "peer", "lenet")
    done = run("--quick", *parts, "--json", file, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert {row["status"] for row in rows} == {"skipped"}
    assert all(row["note"].startswith("no CUDA device here") for row in rows)


@pytest.mark.parametrize("missing", ["pyarrow", "jinja2"])  # ours, and one of `l0`
def test_a_package_that_is_missing_is_named_with_the_remedy(missing):
    code = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name: None if name == {missing!r} else find(name)\n"
        f"sys.modules[{missing!r}] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "benchmarks" / "device.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(f"missing here: {missing}")
    assert f"--target FOLDER {missing}" in done.stdout
