"""The benchmark of a sentence transformer, on a small untrained one and on glosses written here."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / "benchmarks" / "minilm.py"
NOUNS = [f"the kind of thing number {n} that has {n % 17} parts and a name" for n in range(200)]


@pytest.fixture(scope="module")
def encoder():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        before = set(sys.modules)
        yield importlib.import_module("minilm_parts.encoder")
        for name in set(sys.modules) - before:
            if str(ROOT / "benchmarks") in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def write_wordnet(folder, nouns):
    """Write files of data of WordNet's form: a licence, and then a line for each meaning."""
    for part in ("adj", "adv", "noun", "verb"):
        lines = ["  1 This software and database is provided as is | and this is no gloss at all"]
        if part == "noun":
            lines += [f"{n:08} 03 n 01 thing 0 000 | {gloss}  " for n, gloss in enumerate(nouns)]
        (folder / f"data.{part}").write_text("\n".join(lines) + "\n", "latin-1")
    return folder


def test_glosses_are_definitions_of_some_length_without_examples(encoder, tmp_path):
    short, long = "a small thing", "a thing " * 20
    plain = "an assemblage of parts that is a single entity"
    nouns = [short, long, f'{plain}; "how big is that part?"; "the team"', plain, f"{plain} too"]
    found = encoder.read_glosses(write_wordnet(tmp_path, nouns))
    assert sorted(found) == [plain, f"{plain} too"]


def test_batches_are_filled_up_and_each_epoch_has_all_sentences(encoder):
    sentences = encoder.Sentences([[n] * (1 + n % 7) for n in range(1, 101)])
    source = sentences.batches(8, seed=1)
    seen = []
    while len(seen) < 100:
        batch = next(source)
        ids, mask = batch["input_ids"], batch["attention_mask"]
        assert ids.shape == mask.shape
        assert ((ids > 0) == (mask > 0)).all()
        assert mask.sum(1).tolist() == [1 + n % 7 for n in ids[:, 0].tolist()]
        seen += ids[:, 0].tolist()
    assert sorted(seen) == list(range(1, 101))


def test_the_middle_batch_has_sentences_of_middle_length(encoder):
    sentences = encoder.Sentences([[1] * n for n in (9, 1, 5, 3, 7, 2, 8)])
    assert sentences.middle(3)["attention_mask"].sum(1).tolist() == [3, 5, 7]


def test_what_does_not_learn_does_not_learn_after_the_cut_of_the_peer(encoder):
    pytest.importorskip("torch_pruning")
    peer = importlib.import_module("minilm_parts.peer")
    figures = importlib.import_module("minilm_parts.figures")
    model, sentences = encoder.tiny(NOUNS)
    model.get_submodule("embeddings").requires_grad_(False)
    small = peer.cut(model, sentences.middle(8), figures.Limit(0.6), everywhere=False)
    for name, param in small.named_parameters():
        assert param.requires_grad == (not name.startswith("embeddings."))
    with pytest.raises(SystemExit, match="pass a larger --budgets, or --no-peer"):
        peer.cut(model, sentences.middle(8), figures.Limit(0.01), everywhere=False)


def run_command(*words):
    return subprocess.run(
        [sys.executable, str(COMMAND), *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def rows_of(run):
    assert run.returncode in (0, 1), run.stderr
    lines = [line.split("|")[1:-1] for line in run.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines]


TINY = ["--tiny", "--held-out", "64", "--steps", "20", "--budgets", "0.6"]


@pytest.mark.slow
def test_the_command_runs_on_a_small_model(tmp_path):
    run = run_command(*TINY, "--wordnet", write_wordnet(tmp_path, NOUNS), "--every", "10")
    head, dense, ours, peer = rows_of(run)
    assert [head[0], dense[0], ours[0], peer[0]] == ["model", "dense", "l0", "Torch-Pruning"]
    assert (dense[4], dense[5], dense[7]) == ("1.000", "1.000", "1.00")
    for row in (ours, peer):
        assert float(row[2]) <= 60
        assert 0 < float(row[4]) <= 1
        assert row[8] == "20"
    assert "l0 Macs(0.6): 10 steps" in run.stdout


@pytest.mark.slow
def test_a_second_student_has_a_limit_of_time_and_all_have_the_same_rounding(tmp_path):
    options = ["--latency", "0.95", "--round-to", "8", "--folder", tmp_path / "kept"]
    run = run_command(*TINY, "--wordnet", write_wordnet(tmp_path, NOUNS), *options)
    budgets = "Macs(0.6)", "[Macs(0.6), Latency(0.95)]", "Macs(0.6)"
    students = rows_of(run)[2:]
    assert [row[1] for row in students] == [f"`{budget}, round_to=8`" for budget in budgets]
    widths = [int(block.split("+")[1]) for row in students for block in row[-1].split()]
    assert all(width % 8 == 0 for width in widths)
    kept = {file.stem for file in (tmp_path / "kept").glob("*.json")}
    assert "l0-0.6-latency0.95-round8-20-0" in kept


@pytest.mark.slow
def test_a_run_goes_on_from_its_folder(tmp_path):
    words = [*TINY, "--wordnet", write_wordnet(tmp_path, NOUNS), "--folder", tmp_path / "kept"]
    first, again = (run_command(*words, "--no-peer") for _ in range(2))
    assert "l0 Macs(0.6): 4 steps" in first.stdout
    assert "l0 Macs(0.6): 4 steps" not in again.stdout
    # The milliseconds of a sentence, and how many times faster it is, are measured again.
    rows = [[[*row[:6], *row[8:]] for row in rows_of(run)] for run in (first, again)]
    assert rows[0] == rows[1]


def test_a_folder_without_wordnet_is_an_error_that_says_where_to_get_it(encoder, tmp_path):
    with pytest.raises(SystemExit, match="apt-get download wordnet-base"):
        encoder.read_glosses(tmp_path)
