"""`memviz` as users call it: what it writes, here and in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cli import CommandLine, parse
from support.model_folders import BOS, TEXT, write_model
from support.serving import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

from memviz import __version__
from memviz.export import command
from memviz.records import Decoding
from memviz.tasks.trace import TraceTask

KEYS = {
    "": "format model context_ids continuation_ids generated_ids memorization_score longest_common_prefix "
    "first_divergence context free_running teacher_forced fragile boundary measures",
    "model": "name revision weights dtype device",
    "context": "entropy",
    "free_running": "entropy logprob margin top_ids top_logprobs",
    "teacher_forced": "logprob rank entropy argmax_ids margin",
    "boundary": "entropy_jump change_points",
}
TRACE = ["trace", "--model", "tiny", "--out", "out.json"]
TEXT_FILE = [*TRACE, "--text-file", "text.txt"]


def distributions(folder: Path, ids: list[int]) -> np.ndarray:
    """(tokens, V) float64 log-probabilities after each token, one whole pass for each: nothing clever."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        logits = [model(torch.tensor([ids[: end + 1]])).logits[0, -1].double() for end in range(len(ids))]
    return torch.stack(logits).log_softmax(-1).numpy()


def entropies(logprobs: np.ndarray) -> np.ndarray:
    return -(np.exp(logprobs) * logprobs).sum(-1)


@pytest.mark.parametrize("model", ["tiny", "tiny-bos"])
def test_every_number_of_the_document(cli: CommandLine, model: str) -> None:
    document = cli.trace("--text-file", "text.txt", "--context", 7, "--continuation", 9, model=model)
    for name, keys in KEYS.items():
        assert set(document[name] if name else document) == set(keys.split())
    assert document["format"] == 1
    weights = document["model"].pop("weights")
    assert weights.startswith("sha256:") and len(weights) == 71
    assert document["model"] == {"name": model, "revision": "local", "dtype": "float32", "device": "cpu"}

    ids = AutoTokenizer.from_pretrained(cli.models / model)(TEXT, add_special_tokens=False)["input_ids"]
    leading = [BOS] if model == "tiny-bos" else []
    context, truth, generated = (document[name] for name in ("context_ids", "continuation_ids", "generated_ids"))
    assert context == [*leading, *ids[:7]] and truth == ids[7:16] and len(generated) == 9
    k = len(context)
    free, forced = (distributions(cli.models / model, context + row) for row in (generated, truth))

    assert generated == free[k - 1 : -1].argmax(-1).tolist()
    reading = document["free_running"]
    np.testing.assert_allclose(reading["entropy"], entropies(free[k - 1 : -1]), atol=1e-4)
    np.testing.assert_allclose(reading["logprob"], free[range(k - 1, k + 8), generated], atol=1e-4)
    ordered = np.sort(free[k - 1 : -1])[:, ::-1]
    np.testing.assert_allclose(reading["margin"], ordered[:, 0] - ordered[:, 1], atol=1e-4)
    np.testing.assert_allclose(reading["top_logprobs"], ordered[:, :20], atol=1e-4)
    for position, top_ids in enumerate(reading["top_ids"]):
        assert len(set(top_ids)) == 20
        np.testing.assert_allclose(free[k - 1 + position, top_ids], ordered[position, :20], atol=1e-4)

    assert document["context"]["entropy"][0] is None
    np.testing.assert_allclose(document["context"]["entropy"][1:], entropies(free[: k - 1]), atol=1e-4)

    reading = document["teacher_forced"]
    ranks = [1 + int((row > row[token]).sum()) for row, token in zip(forced[k - 1 :], truth, strict=False)]
    assert reading["rank"] == ranks and min(ranks) >= 1
    assert reading["argmax_ids"] == forced[k - 1 : -1].argmax(-1).tolist()
    np.testing.assert_allclose(reading["logprob"], forced[range(k - 1, k + 8), truth], atol=1e-4)
    np.testing.assert_allclose(reading["entropy"], entropies(forced[k - 1 : -1]), atol=1e-4)

    hits = [a == b for a, b in zip(generated, truth, strict=True)]
    assert document["memorization_score"] == pytest.approx(sum(hits) / 9)
    assert document["longest_common_prefix"] == document["first_divergence"] == hits.index(False)
    assert document["fragile"] == [False] * 9
    jump = reading_at(free, k) - reading_at(free, k - 1)
    assert document["boundary"]["entropy_jump"] == pytest.approx(jump, abs=1e-4)
    assert document["measures"]["memorization_score"] == document["memorization_score"]


def reading_at(logprobs: np.ndarray, index: int) -> float:
    """Entropy at an index of the row: of the distribution given the tokens before it."""
    return float(entropies(logprobs[index - 1]))


def test_a_passage_the_model_reproduces(cli: CommandLine) -> None:
    first = cli.trace("--ids-file", cli.write("a.json", {"context_ids": [9, 8, 7], "continuation_ids": None}))
    ids = {"context_ids": [9, 8, 7], "continuation_ids": first["generated_ids"]}
    document = cli.trace("--ids-file", cli.write("b.json", ids))
    assert document["memorization_score"] == 1
    assert document["first_divergence"] is None and document["longest_common_prefix"] == 32
    assert document["generated_ids"] == first["generated_ids"] == document["teacher_forced"]["argmax_ids"]
    assert document["teacher_forced"]["rank"] == [1] * 32


@pytest.mark.parametrize("words", [["--decode-only", "--text-file", "text.txt"], ["--ids-file", "ids.json"]])
def test_nothing_is_known_to_follow(cli: CommandLine, words: list[str]) -> None:
    cli.write("ids.json", {"context_ids": [4, 5]})
    document = cli.trace(*words, "--continuation", 3)
    assert len(document["generated_ids"]) == 3
    for name in ("continuation_ids", "teacher_forced", "memorization_score", "longest_common_prefix"):
        assert document[name] is None
    assert document["first_divergence"] is None and document["measures"]["memorization_score"] is None


@pytest.mark.parametrize("context", [[50], [BOS, 50, 51], [50, BOS, 51]])
def test_ids_are_taken_verbatim(cli: CommandLine, context: list[int]) -> None:
    name = cli.write("ids.json", {"context_ids": context, "continuation_ids": [60, 61]})
    document = cli.trace("--ids-file", name, model="tiny-bos")
    assert document["context_ids"] == context and document["continuation_ids"] == [60, 61]


TEXT_20 = ("--text-file", "text.txt", "--decode-only", "--continuation", 20)


def test_sampling_is_reproducible_and_its_seed_matters(cli: CommandLine) -> None:
    def drawn(*words: object) -> list[int]:
        return cli.trace(*TEXT_20, "--sample", *words)["generated_ids"]

    first = drawn("--temperature", 2, "--seed", 3)
    cli.setenv(MEMVIZ_CACHE=cli.folder / "other-cache")
    assert drawn("--temperature", 2, "--seed", 3) == first != drawn("--temperature", 2, "--seed", 4)
    greedy = cli.trace(*TEXT_20)["generated_ids"]
    assert drawn("--top-k", 1) == greedy and drawn("--top-p", 1e-9) == greedy
    assert drawn("--seed", 0) == drawn()


def test_the_same_again_comes_from_the_store(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--text-file", "text.txt", "--context", 6, "--continuation", 6)
    first = cli.trace(*words)
    (cli.folder / "out.json").unlink()

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("memviz.engine.loading.load_model", refuse)
    assert cli.trace(*words) == first
    assert cli.run("trace", "--model", "tiny", *words, "--out", "o.json", "--dtype", "bfloat16").code == 1


def test_a_truncated_result_is_computed_again(cli: CommandLine) -> None:
    cli.setenv(MEMVIZ_CACHE=cli.folder / "cache")
    words = ("trace", "--model", "tiny", "--text-file", "text.txt", "--context", 6, "--out", "out.json")
    assert cli.run(*words) == (0, "", "")
    first = parse(cli.folder / "out.json")
    (blob,) = (cli.cache / "results" / "blobs").rglob("*.safetensors")
    blob.write_bytes(blob.read_bytes()[:-100])
    (cli.folder / "out.json").unlink()
    assert cli.run(*words)[:2] == (0, "")
    assert parse(cli.folder / "out.json") == first
    assert cli.run("store", "verify").out == "0 problems found\n"
    assert cli.run("store", "stats").out.splitlines()[1] == "1 requests, 1 damaged files set aside"


def test_the_command_of_a_page_repeats_its_run(cli: CommandLine) -> None:
    import shlex

    task = TraceTask("tiny", (7, 8), None, 5, Decoding(1.5, 40, 0.9, 7, bar_eos=True), all_layers=True)
    cli.write("ids.json", {"context_ids": [7, 8], "continuation_ids": None})
    words = shlex.split(command(task))
    assert words[0] == "memviz" and cli.run(*words[1:]) == (0, "", "")
    assert len(parse(cli.folder / "trace.json")["generated_ids"]) == 5


def test_models_are_listed_in_every_state(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.run("models", "add", "tiny")
    roots = cli.folder / "roots"
    write_model(roots / "unread")
    (write_model(roots / "broken") / "model.safetensors").unlink()
    cli.setenv(MEMVIZ_MODEL_ROOTS=f"{roots}{os.pathsep}{cli.models}")
    monkeypatch.setattr("memviz.cli.models.site_files", lambda source: None)
    found = {"EleutherAI/pythia-14m-deduped": "unread", "EleutherAI/pythia-31m-deduped": "broken"}

    def in_hub_cache(repo: str, file: str, revision: str) -> str | None:
        return str(roots / found[repo] / file) if repo in found else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", in_hub_cache)
    ended = cli.run("models")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    names = ["name", "here", "parameters", "GB on disk", "GB in float32", "GB in bfloat16", "GB in float16", "licence"]
    assert [cell.strip() for cell in lines[0].split("  ") if cell.strip()] == names
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    n_parameters = f"{sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(roots / 'unread').parameters()):,}"
    assert rows["tiny"] == rows["unread"] == f"yes {n_parameters} 0.00 1.0 1.0 1.0 see its folder"
    assert rows["broken"] == (
        f"no: {roots / 'broken'} holds no weights: a file model.safetensors is expected ? - ? ? ? see its folder"
    )
    assert rows["pythia-14m-deduped"] == f"yes {n_parameters} 0.00 1.0 1.0 1.0 Apache-2.0"
    assert rows["pythia-31m-deduped"].startswith(f"no: {roots / 'broken'} holds no weights")
    assert rows["smollm2-135m"] == "no 134,515,008 - 1.5 1.3 1.3 Apache-2.0"
    assert rows["gemma-3-270m"] == "no 268,098,176 - 2.1 1.5 1.5 Gemma Terms of Use"
    assert rows["pythia-12b-deduped"] == "no 11,846,072,320 - 56.9 28.4 28.4 Apache-2.0"
    assert "pythia-SIZE-deduped@stepN" in lines[-1]


def test_store_commands(cli: CommandLine) -> None:
    cli.setenv(MEMVIZ_CACHE=cli.folder / "cache", MEMVIZ_CACHE_LIMIT="20MB")
    nothing = "0 results, 0.0 of 20 MB, 0 pinned\n0 requests, 0 damaged files set aside\n"
    assert cli.run("store", "stats") == (0, nothing, "")
    assert cli.run("store", "clear") == (0, "removed 0 results, 0.0 MB\n", "")
    assert not cli.cache.exists()
    cli.trace("--text-file", "text.txt", "--context", 6)
    assert cli.run("store", "stats").out.startswith("1 results, 0.")
    (blob,) = (cli.cache / "results" / "blobs").rglob("*.safetensors")
    blob.write_bytes(b"")
    ended = cli.run("store", "verify")
    assert ended.code == 1 and ended.out == (
        f"{blob.stem}: was damaged or missing; its results have to be computed again\n1 problems found\n"
    )
    cli.trace("--text-file", "text.txt", "--context", 6)
    assert cli.run("store", "clear").out.startswith("removed 1 results, 0.")
    assert cli.run("store", "clear", "--everything").code == 0
    assert cli.run("store", "stats") == (0, nothing, "")


def test_version_and_help(cli: CommandLine) -> None:
    assert cli.run("--version") == (0, f"memviz {__version__}\n", "")
    for words in ([], ["--help"], ["trace", "--help"], ["models", "--help"], ["store", "--help"]):
        ended = cli.run(*words)
        assert ended.code == 0 and "Usage" in ended.out and not ended.err


# In a process of its own.


def memviz(cli: CommandLine, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "memviz", *words]
    return subprocess.run(command, cwd=cli.folder, env=env, capture_output=True, text=True, timeout=120)


def test_as_a_process(cli: CommandLine) -> None:
    with (cli.folder / "large.txt").open("wb") as file:
        file.truncate(50_000_000)
    start = time.perf_counter()
    done = memviz(cli, *TRACE, "--text-file", "large.txt")
    assert time.perf_counter() - start < 15
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "memviz: large.txt has more than the 2,000,000 bytes of one prompt: cut it\n"
    done = memviz(cli, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"memviz {__version__}\n", "")


def test_a_whole_trace_as_a_process_says_nothing(cli: CommandLine) -> None:
    here = cli.trace("--text-file", "text.txt", "--context", "4")
    cli.setenv(MEMVIZ_CACHE=cli.folder / "cache")
    done = memviz(cli, *TEXT_FILE, "--context", "4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    there = parse(cli.folder / "out.json")
    assert there["generated_ids"] == here["generated_ids"]
    np.testing.assert_allclose(there["free_running"]["entropy"], here["free_running"]["entropy"], atol=1e-5)
    assert json.loads((cli.folder / "out.json").read_text())["model"]["name"] == "tiny"


def test_a_byte_order_mark_is_no_text(cli: CommandLine) -> None:
    (cli.folder / "plain.txt").write_bytes(TEXT.encode())
    (cli.folder / "marked.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    plain, marked = (cli.trace("--text-file", name, "--context", 4) for name in ("plain.txt", "marked.txt"))
    assert marked["context_ids"] == plain["context_ids"]
