"""`memviz` as users call it: what it writes, and one clear sentence for everything that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.cli import CommandLine, parse
from support.model_folders import BOS, TEXT, write_model
from support.serving import ROOT
from support.tiny_models import LIMIT
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
VOCABULARY = 360


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model root and one cache for all tests here, so that each model is prepared once."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "tiny-bos", family="gpt_neox", tokenizer="bos")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    cli = CommandLine(home, tmp_path, capsys, monkeypatch)
    cli.write("text.txt", TEXT)
    return cli


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
    assert cli.run("store", "stats").out.splitlines()[1] == "0 requests, 1 damaged files set aside"


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
    assert ended.code == 0 and ended.out == (
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


# What cannot be used: one sentence each, exit code 2, nothing written.

MORE_SPACE = "free space or set MEMVIZ_CACHE or --out to another folder"
TRACE = ["trace", "--model", "tiny", "--out", "out.json"]
TEXT_FILE = [*TRACE, "--text-file", "text.txt"]
IDS_FILE = [*TRACE, "--ids-file", "ids.json"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--context", "0"], "--context is 0: give at least 1"),
        (["--context", "-3"], "--context is -3: give at least 1"),
        (["--continuation", "0"], "--continuation is 0: give at least 1"),
        (["--continuation", "-1", "--decode-only"], "--continuation is -1: give at least 1"),
        (
            ["--context", "1000"],
            "the text has 23 tokens under tiny's tokenizer: 1000 of context and 1 of continuation need 1001; "
            "give a longer text or smaller numbers",
        ),
        (
            ["--context", "23"],
            "the text has 23 tokens under tiny's tokenizer: 23 of context and 1 of continuation need 24; "
            "give a longer text or smaller numbers",
        ),
        (
            ["--context", "16", "--continuation", "8"],
            "the text has 23 tokens under tiny's tokenizer: 16 of context and 8 of continuation need 24; "
            "give a longer text or smaller numbers",
        ),
        (
            ["--decode-only", "--continuation", "138"],
            "23 context and 138 continuation tokens are 161; tiny reads at most 160: shorten one of them",
        ),
        (
            ["--decode-only", "--context", "5"],
            "--context is for a text of which a part is to follow: leave it out",
        ),
        (["--dtype", "float64"], "dtype 'float64' is unknown: use one of float32, bfloat16, float16"),
        (["--seed", "1"], "--temperature, --top-k, --top-p and --seed need --sample"),
        (["--temperature", "1"], "--temperature, --top-k, --top-p and --seed need --sample"),
        (["--top-k", "0"], "--temperature, --top-k, --top-p and --seed need --sample"),
        (["--sample", "--top-k", "0"], "top_k is 0, expected at least 1"),
        (["--sample", "--top-p", "0"], "top_p is 0.0, expected a number in (0, 1]"),
        (["--sample", "--top-p", "nan"], "top_p is nan, expected a number in (0, 1]"),
        (
            ["--sample", "--temperature", "0"],
            "temperature is 0.0, expected a number above 0; leave it out for greedy",
        ),
        (["--sample", "--seed", "-1"], "seed is -1, expected a whole number from 0 to 2^63 - 1"),
        (["--ids-file", "text.txt"], "give either --text-file or --ids-file"),
    ],
)
def test_options_that_cannot_be_used(cli: CommandLine, words: list[str], sentence: str) -> None:
    assert cli.refused(*TEXT_FILE, *words) == sentence


EMPTY = "the text is empty: give at least a few words"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", EMPTY),
        (" \n\t\n ", EMPTY),
        ("\u3000\u00a0", EMPTY),
        (b"caf\xe9", "text.txt is not UTF-8 (byte 3): save it as UTF-8"),
        (b"\xff\xfea\x00b\x00", "text.txt is not UTF-8 (byte 0): save it as UTF-8"),
        (b"\xed\xa0\x80", "text.txt is not UTF-8 (byte 0): save it as UTF-8"),
    ],
)
def test_texts_that_cannot_be_used(cli: CommandLine, content: str | bytes, sentence: str) -> None:
    cli.write("text.txt", content)
    assert cli.refused(*TEXT_FILE) == sentence


@pytest.mark.parametrize("option", ["--text-file", "--ids-file"])
def test_files_that_cannot_be_read(cli: CommandLine, option: str) -> None:
    (cli.folder / "folder").mkdir()
    assert cli.refused(*TRACE, option, "none.txt") == "none.txt cannot be read: No such file or directory"
    assert cli.refused(*TRACE, option, "folder") == "folder cannot be read: Is a directory"
    assert cli.refused(*TRACE, option, "text.txt/below") == "text.txt/below cannot be read: Not a directory"
    with (cli.folder / "large.txt").open("wb") as file:
        file.truncate(50_000_000)
    start = time.perf_counter()
    sentence = "large.txt has more than the 2,000,000 bytes of one prompt: cut it"
    assert cli.refused(*TRACE, option, "large.txt") == sentence
    if Path("/dev/zero").exists():
        assert "more than" in cli.refused(*TRACE, option, "/dev/zero")
    assert time.perf_counter() - start < 5


NOT_JSON = "ids.json is not JSON ({}): expected {{'context_ids': […], 'continuation_ids': […]}}"
NO_CONTEXT = "ids.json holds no context_ids: expected {'context_ids': […], 'continuation_ids': […] or null}"
OUTSIDE = "token id {} is outside the vocabulary of tiny, whose ids are 0 to 359: was the text split by another "
OUTSIDE += "model's tokenizer?"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", NOT_JSON.format("Expecting value: line 1 column 1 (char 0)")),
        ('{"context_ids": [1, 2', NOT_JSON.format("Expecting ',' delimiter: line 1 column 22 (char 21)")),
        (b"\xff", "ids.json is not UTF-8 (byte 0): save it as UTF-8"),
        ("[1, 2]", NO_CONTEXT),
        ("null", NO_CONTEXT),
        ("{}", NO_CONTEXT),
        ({"continuation_ids": [1]}, NO_CONTEXT),
        (
            {"context_ids": [1], "model": "tiny"},
            "ids.json has 'model', which memviz does not know: context_ids and continuation_ids it reads",
        ),
        ({"context_ids": []}, "the context has 0 tokens: give at least 1"),
        (
            {"context_ids": [1], "continuation_ids": []},
            "continuation_ids of ids.json is empty: give at least 1 id, or null to decode without truth",
        ),
        ({"context_ids": 5}, "context_ids of ids.json is no list: give token ids"),
        ({"context_ids": None}, "context_ids of ids.json is no list: give token ids"),
        ({"context_ids": "12"}, "context_ids of ids.json is no list: give token ids"),
        ({"context_ids": [1], "continuation_ids": {}}, "continuation_ids of ids.json is no list: give token ids"),
        ({"context_ids": [1, 2.0]}, "context_ids of ids.json holds 2.0: token ids are whole numbers"),
        ({"context_ids": [True]}, "context_ids of ids.json holds true: token ids are whole numbers"),
        ({"context_ids": [None, 1]}, "context_ids of ids.json holds null: token ids are whole numbers"),
        ({"context_ids": ["a" * 10**6]}, f'context_ids of ids.json holds "{"a" * 79}: token ids are whole numbers'),
        ({"context_ids": [[1]]}, "context_ids of ids.json holds a list: token ids are whole numbers"),
        ({"context_ids": [{}]}, "context_ids of ids.json holds a dict: token ids are whole numbers"),
        ('{"context_ids": [NaN]}', "context_ids of ids.json holds NaN: token ids are whole numbers"),
        ('{"context_ids": [1e999]}', "context_ids of ids.json holds Infinity: token ids are whole numbers"),
        (
            {"context_ids": [1], "continuation_ids": [2, "3"]},
            'continuation_ids of ids.json holds "3": token ids are whole numbers',
        ),
        ({"context_ids": [360]}, OUTSIDE.format(360)),
        ({"context_ids": [5, -1]}, OUTSIDE.format(-1)),
        ({"context_ids": [5], "continuation_ids": [359, 360]}, OUTSIDE.format(360)),
        ({"context_ids": [2**64]}, OUTSIDE.format(2**64)),
        ({"context_ids": [-(10**4000)]}, OUTSIDE.format("of more than 20 digits")),
        (
            {"context_ids": [1] * 130, "continuation_ids": [1] * 31},
            "130 context and 31 continuation tokens are 161; tiny reads at most 160: shorten one of them",
        ),
        (
            {"context_ids": [1] * 129},
            "129 context and 32 continuation tokens are 161; tiny reads at most 160: shorten one of them",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_ids_that_cannot_be_used(cli: CommandLine, content: Any, sentence: str) -> None:
    cli.write("ids.json", content)
    assert cli.refused(*IDS_FILE) == sentence


def test_ids_nested_too_deeply_or_numbers_too_long(cli: CommandLine) -> None:
    for content in ("[" * 100_000, '{"context_ids": ' + "[" * 100_000, '{"context_ids": [' + "1" * 10_000 + "]}"):
        cli.write("ids.json", content)
        assert cli.refused(*IDS_FILE).startswith("ids.json is not JSON (")


def test_options_that_contradict_an_ids_file(cli: CommandLine) -> None:
    cli.write("ids.json", {"context_ids": [1], "continuation_ids": [2, 3]})
    sentence = "--continuation is 3, but ids.json holds 2 continuation ids: leave it out"
    assert cli.refused(*IDS_FILE, "--continuation", "3") == sentence
    assert cli.trace("--ids-file", "ids.json", "--continuation", "2")["continuation_ids"] == [2, 3]
    (cli.folder / "out.json").unlink()
    sentence = "--context is for a text of which a part is to follow: leave it out"
    assert cli.refused(*IDS_FILE, "--context", "3") == sentence
    sentence = "--decode-only is for --text-file: put null for continuation_ids into the ids file"
    assert cli.refused(*IDS_FILE, "--decode-only") == sentence


def test_the_limit_itself_is_within_it(cli: CommandLine) -> None:
    ids = {"context_ids": [9] * (LIMIT - 3), "continuation_ids": [8, 7, 6]}
    assert len(cli.trace("--ids-file", cli.write("ids.json", ids))["generated_ids"]) == 3
    ids = {"context_ids": [VOCABULARY - 1], "continuation_ids": [0]}
    assert len(cli.trace("--ids-file", cli.write("ids.json", ids))["generated_ids"]) == 1


@pytest.mark.parametrize(
    "name", ["../tiny", "..", "/etc", "~/tiny", "./tiny", "a/../b", r"a\b", "owner/name@../x", "é\n"]
)
def test_names_that_are_paths(cli: CommandLine, name: str) -> None:
    sentence = f"model {name!r} is not a name: give a name of `memviz models`, or put the folder under a root of "
    sentence += "MEMVIZ_MODEL_ROOTS and give the folder's name"
    for words in (["trace", "--model", name, "--text-file", "text.txt", "--out", "o.json"], ["models", "add", name]):
        assert cli.refused(*words) == sentence


@pytest.mark.parametrize("name", ["nope", "", "tiny ", "pythia-3b-deduped", "pythia-14m-deduped@stepX", "a/b/c"])
def test_names_that_nothing_has(cli: CommandLine, name: str) -> None:
    sentence = cli.refused("trace", "--model", name, "--text-file", "text.txt", "--out", "o.json")
    assert sentence.startswith(f"model {name!r} is unknown: known are tiny, tiny-bos, ")
    assert ", smollm2-135m, gemma-3-270m, pythia-" in sentence
    assert sentence.endswith("a hub id like owner/name@revision, or a folder under a root of MEMVIZ_MODEL_ROOTS")


@pytest.mark.parametrize("name", ["pythia-70m-deduped", "pythia-410m-deduped@step1000", "owner/name@v1"])
def test_models_of_the_hub_that_are_not_here(cli: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cli.folder / "hub"))
    sentence = f"{name} is not on this machine: fetch it with `memviz models add {name}`"
    words = ("trace", "--model", name, "--text-file", "text.txt", "--out", "o.json")
    assert cli.refused(*words) == sentence
    sentence = f"{name} cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again"
    assert cli.refused("models", "add", name) == sentence


def test_where_the_result_cannot_go(cli: CommandLine) -> None:
    (cli.folder / "folder").mkdir()
    words = ["trace", "--model", "tiny", "--text-file", "text.txt", "--context", 5, "--out"]
    sentence = "--out none/out.json: its folder does not exist; make it first"
    assert cli.refused(*words, "none/out.json") == sentence
    assert cli.refused(*words, "text.txt/out.json").endswith("its folder does not exist; make it first")
    assert cli.refused(*words, "folder") == "--out folder is no file: name a file"
    assert cli.refused(*words, "/dev/null") == "--out /dev/null is no file: name a file"
    assert cli.run(*words, "x" * 255).code == 0
    name = "x" * 256
    assert cli.refused(*words, name).endswith(f"{name} cannot be used: File name too long")


def test_a_disk_that_fills_while_the_result_is_written(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.write("out.json", "before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    words = ("--context", "5")
    assert cli.run(*TEXT_FILE, *words).code == 0
    cli.write("out.json", "before")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        ended = cli.run(*TEXT_FILE, *words)
    assert ended == (1, "", f"memviz: no space left in {cli.folder.resolve()}: {MORE_SPACE}\n")
    assert cli.listing() == {"text.txt": TEXT.encode(), "out.json": b"before"}


def test_a_cache_that_cannot_be_written(cli: CommandLine) -> None:
    cache = cli.folder / "text.txt" / "cache"
    cli.setenv(MEMVIZ_CACHE=cache)
    remedy = "(Not a directory); make it a writable folder or set MEMVIZ_CACHE or --out to another"
    assert cli.refused(*TEXT_FILE, "--context", 5, code=1) == f"{cache} cannot be written {remedy}"
    assert cli.refused("models", "add", "tiny", code=1) == f"{cache} cannot be written {remedy}"
    assert cli.run("store", "stats").code == 0 and cli.run("models").code == 0


def test_a_disk_that_is_full_when_the_result_is_kept(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sentence = cli.refused(*TEXT_FILE, "--context", 9, code=1)
    assert sentence.startswith(
        f"no space left in {cli.cache / 'results'}, 0.1 MB needed: free space or set MEMVIZ_CACHE"
    )


def test_a_model_too_large_for_memory(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.engine.loading.free_memory", lambda device: 123_000_000)
    sentence = "tiny needs about 1.0 GB in float32; 0.1 GB are free on cpu: choose a smaller model or another dtype"
    assert cli.refused(*TEXT_FILE, "--context", 11) == sentence


def test_unknown_settings_and_unusable_values(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_CASH", "1")
    assert cli.refused(*TEXT_FILE).startswith(
        "MEMVIZ_CASH is not a setting of memviz; the settings are MEMVIZ_ALLOWED_HOSTS, "
    )
    monkeypatch.delenv("MEMVIZ_CASH")
    monkeypatch.setenv("MEMVIZ_DTYPE", "int8")
    assert cli.refused("models").startswith("setting dtype = 'int8' cannot be used: ")


def test_what_the_option_parser_refuses(cli: CommandLine) -> None:
    assert cli.refused("nope") == "No such command 'nope'."
    assert cli.refused("store") == "Missing command."
    assert cli.refused("trace", "--out", "o.json") == "Missing option '--model'."
    assert cli.refused(*TRACE) == "give either --text-file or --ids-file"
    assert cli.refused(*TEXT_FILE, "--context", "many").startswith("Invalid value for '--context': ")
    assert cli.refused(*TEXT_FILE, "--contxt", "4").startswith("No such option: --contxt")


def test_an_error_nobody_thought_of_is_one_line_too(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, sentence in (
        (RuntimeError("a\nb"), "a b"),
        (KeyError(), "KeyError"),
        (OSError(5, "EIO", "f"), "f cannot be used (Input/output error): if it was removed, start again"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("memviz.cli.tracing.find_model", fail)
        assert cli.refused(*TEXT_FILE, code=1) == sentence


def test_interrupted(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("memviz.engine.tracing._decode", interrupt)
    assert cli.refused(*TEXT_FILE, "--context", 12, code=130) == "interrupted; no file was left half-written"


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
