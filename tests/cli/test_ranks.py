"""`l0 calibrate` on several ranks, as torchrun starts them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from l0.cli.ranks import are_several, check_command
from tests.cli.running import refused

RESULT = ("metrics.json", "weights.parquet")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
#: Two hosts of one machine: their network namespaces, interfaces and addresses.
HOSTS = (("l0-test-a", "l0a", "10.213.77.1"), ("l0-test-b", "l0b", "10.213.77.2"))


@pytest.fixture
def two_ranks(monkeypatch):
    for name, value in {
        "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def test_a_process_by_itself_is_not_several(monkeypatch):
    assert not are_several()
    check_command("frontier")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not are_several()


def test_most_commands_run_in_one_process(files, two_ranks):
    assert are_several()
    check_command("calibrate")
    said = refused("frontier", *files, "--n-records", "40")
    assert said.startswith("l0: `l0 frontier` runs in one process; start it without torchrun")


def weights(folder):
    return (folder / RESULT[1]).read_bytes()


@pytest.mark.slow
def test_the_files_are_those_of_one_process(files, tmp_path):
    words = ["-m", "l0", "calibrate", *files, "--n-records", "40", "--epochs", "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    one = [sys.executable, *words, "--out", str(tmp_path / "one"), "--json"]
    two = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", *words, "--json"]
    two += ["--out", str(tmp_path / "two")]
    alone, shared = (
        subprocess.run(each, env=environment, capture_output=True, text=True, timeout=300)
        for each in (one, two)
    )
    assert alone.returncode == shared.returncode == 0, shared.stderr
    assert shared.stdout.count("n_records") == alone.stdout.count("n_records") == 1
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


@pytest.mark.slow
def test_an_error_of_all_ranks_is_said_once(files, tmp_path):
    command = [*TORCHRUN, "--standalone", "--nproc-per-node", "2", "-m", "l0", "calibrate", *files]
    ended = subprocess.run(
        [*command, "--n-records", "0", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode
    assert ended.stderr.count("`--n-records` must be an integer from 1") == 1


@pytest.fixture
def hosts():
    """Make two network namespaces that can reach each other."""
    if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    (first, one, _), (second, other, _) = HOSTS
    if ip("netns", "add", first).returncode:
        pytest.skip("this system makes no network namespaces")
    try:
        ip("netns", "add", second)
        peer = ("peer", "name", other, "netns", second)
        ip("link", "add", one, "netns", first, "type", "veth", *peer)
        for name, link, address in HOSTS:
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            for each in (link, "lo"):
                up = ip("-n", name, "link", "set", each, "up")
                if up.returncode:
                    pytest.skip(f"this system connects no network namespaces ({up.stderr.strip()})")
        yield HOSTS
    finally:
        for name, _, _ in HOSTS:
            ip("netns", "delete", name)


@pytest.mark.slow
def test_two_hosts_find_the_same_and_the_first_writes_it(files, tmp_path, hosts):
    words = ["-m", "l0", "calibrate", *files, "--n-records", "40", "--epochs", "20"]
    started = []
    for rank, (name, link, _) in enumerate(hosts):
        command = [
            "ip", "netns", "exec", name, *TORCHRUN, "--nnodes", "2", "--node-rank", str(rank),
            "--nproc-per-node", "1", "--master-addr", hosts[0][2], "--master-port", "29541",
            *words, "--out", str(tmp_path / f"host-{rank}"),
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": link}
        started.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    ended = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert ended[1][0] == ""
    assert not Path(tmp_path / "host-1").exists()
    alone = [sys.executable, *words, "--out", str(tmp_path / "alone"), "--quiet"]
    subprocess.run(alone, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300)
    assert weights(tmp_path / "host-0") == weights(tmp_path / "alone")
