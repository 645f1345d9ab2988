"""`memviz corpus` as users call it: build, count, trace, verify, and one sentence for what cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import CommandLine, parse
from support.model_folders import TEXT, write_model
from support.serving import ROOT
from transformers import AutoTokenizer

from memviz.errors import Failure

OTHER = "We the People of the Moon, in Order to form a more perfect Union"
MEMORY = "a shard of 33,554,432 tokens takes about 1.28 GB of memory"
BUILD = ["corpus", "build", "--model", "tiny", "--input", "docs", "--out", "index"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "other", tokenizer="fallback")
    write_model(home / "models" / "raw")
    (write_model(home / "models" / "broken") / "tokenizer.json").write_text("{}")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    cli = CommandLine(home, tmp_path, capsys, monkeypatch)
    cli.setenv(TOKENIZERS_PARALLELISM="true")  # as the command sets it, and undone after the test
    for model in ("tiny", "other"):
        if not list(cli.cache.glob(f"cards/{model}-*")):
            assert cli.run("models", "add", model).code == 0
    (tmp_path / "docs").mkdir()
    cli.write("docs/a.txt", TEXT)
    cli.write("docs/b.jsonl", json.dumps({"text": OTHER}) + "\n{\n" + json.dumps({"text": TEXT}))
    return cli


@pytest.fixture
def indexed(cli: CommandLine) -> CommandLine:
    assert cli.run(*BUILD).code == 0
    return cli


def ids_of(cli: CommandLine, text: str) -> list[int]:
    return AutoTokenizer.from_pretrained(cli.models / "tiny")(text, add_special_tokens=False)["input_ids"]


def test_a_cache_that_is_full(cli: CommandLine) -> None:
    cli.setenv(MEMVIZ_CACHE_LIMIT="1000")
    place = cli.cache / "corpora" / "mine"
    refused = cli.run(*BUILD[:-1], str(place))
    assert refused.code == 1 and "(corpora most of them), more than MEMVIZ_CACHE_LIMIT of 0 MB: delete" in refused.err
    assert not (place / "manifest.json").exists(), "it was refused when the first shard was there"
    shutil.rmtree(place)
    assert cli.run(*BUILD).code == 0, "elsewhere there is no limit"


def test_building(cli: CommandLine) -> None:
    n_tokens = 2 * len(ids_of(cli, TEXT)) + len(ids_of(cli, OTHER))
    ended = cli.run(*BUILD)
    assert (ended.code, ended.out) == (
        0,
        f"index: {n_tokens} tokens in 3 documents, 1 shards (0 from before); 1 files or lines left out\n",
    )
    line = "left out: docs/b.jsonl:2: is not JSON (Expecting property name enclosed in double quotes: "
    memory, said = ended.err.splitlines()
    assert memory == MEMORY and said.startswith(line)
    again = cli.run(*BUILD, "--name", "mine")
    assert again.out.startswith(f"mine: {n_tokens} tokens in 3 documents, 1 shards (1 from before); ")
    smaller = cli.run(*BUILD, "--shard-tokens", 30)
    assert "3 shards (0 from before)" in smaller.out
    assert cli.run("corpus", "verify", "--index", "index").out == "0 problems found\n"


def test_counting(indexed: CommandLine) -> None:
    ids = ids_of(indexed, TEXT)[:20]
    words = ("corpus", "count", "--index", "index", "--ids", ",".join(map(str, ids)))
    assert indexed.run(*words, "--kind", "stream", "--out", "count.json") == (0, "", "")
    document = parse(indexed.folder / "count.json")
    keys = {"format", "index", "kind", "until_step", "ids", "orders", "counts", "longest_suffix", "own_rows"}
    assert set(document) == keys
    assert document["format"] == 1 and document["index"]["name"] == "index" and document["ids"] == ids
    texts = [ids_of(indexed, text) for text in (TEXT, OTHER, TEXT)]
    for n, counts in zip(document["orders"], document["counts"], strict=True):
        for end, count in enumerate(counts):
            ngram = ids[end - n + 1 : end + 1]
            places = sum(text[at : at + n] == ngram for text in texts for at in range(len(text)))
            assert count == (places if end >= n - 1 else None)
    assert document["longest_suffix"] == list(range(1, 21)) and set(document["own_rows"]) >= {0, 2}
    assert indexed.run(*words, "--out", "other.json").code == 0
    assert parse(indexed.folder / "other.json")["kind"] == "other"


def test_the_table_of_counts(indexed: CommandLine) -> None:
    text = indexed.run("corpus", "count", "--index", "index", "--model", "tiny", "--text", "We the", "--kind", "rows")
    lines = text.out.splitlines()
    assert text.code == 0 and lines[0] == "index, rows; rows that share 16 tokens with the text: 3"
    assert lines[1].split() == ["index", "id", "token", "n=1", "n=2", "n=3", "n=4", "n=5", "longest"]
    assert lines[2].split()[2:] == ['"We"', "3", "-", "-", "-", "-", "1"]
    bare = indexed.run("corpus", "count", "--index", "index", "--ids", "1,2,3", "--until-step", -1)
    assert bare.code == 0 and bare.out.splitlines()[2].split() == ["0", "1", "-", "0", "-", "-", "-", "-", "0"]


def test_tracing(indexed: CommandLine) -> None:
    words = ("corpus", "trace", "--index", "index", "--model", "tiny", "--text", OTHER, "--at-least", 5)
    assert indexed.run(*words, "--out", "trace.json") == (0, "", "")
    document = parse(indexed.folder / "trace.json")
    (span,) = document["spans"]
    n_tokens = len(ids_of(indexed, OTHER))
    assert (span["start"], span["n_tokens"], span["count"]) == (0, n_tokens, 1)
    assert span["rows"] == [{"row": 1, "source": "docs/b.jsonl", "line": 1, "n_tokens": n_tokens}]
    shown = indexed.run(*words).out.splitlines()
    assert shown[0] == f"index: 1 spans of at least 5 of {n_tokens} tokens"
    assert shown[1] == f"tokens 0 to {n_tokens - 1} ({n_tokens}), 1 exposures of 1 rows: {json.dumps(OTHER)}"
    assert shown[2] == f"  row 1, source docs/b.jsonl, line 1, n_tokens {n_tokens}"


def test_a_local_folder_needs_no_preparing(indexed: CommandLine) -> None:
    words = ["corpus", "trace", "--index", "index", "--text", TEXT, "--model"]
    assert indexed.run(*words, "raw") == indexed.run(*words, "tiny")
    assert not list(indexed.cache.glob("cards/raw-*"))


def test_ids_files(indexed: CommandLine) -> None:
    ids = ids_of(indexed, TEXT)
    indexed.write("a.json", ids)
    indexed.write("b.json", {"context_ids": ids[:4], "continuation_ids": ids[4:]})
    indexed.write("text.txt", TEXT)
    for words in (["--ids-file", "a.json"], ["--ids-file", "b.json"], ["--text-file", "text.txt", "--model", "tiny"]):
        ended = indexed.run("corpus", "trace", "--index", "index", *words)
        assert f"tokens 0 to {len(ids) - 1} ({len(ids)}), 2 exposures of 2 rows" in ended.out


def test_a_damaged_index(indexed: CommandLine) -> None:
    (path,) = (indexed.folder / "index").glob("*/tokens.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert indexed.run("corpus", "verify", "--index", "index").out == (
        f"{Path('index') / path.parent.name / 'tokens.npy'} is damaged (its sha256 is another): build the index again\n"
        "1 problems found\n"
    )
    path.write_bytes(content[:-4])
    sentence = indexed.refused("corpus", "count", "--index", "index", "--ids", "1")
    assert "tokens.npy is damaged (" in sentence and sentence.endswith("): build the index again")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["count", "--index", "none", "--ids", "1"],
            "none holds no n-gram index: build one with `memviz corpus build`",
        ),
        (["count", "--index", "index"], "give one of --ids, --ids-file, --text and --text-file"),
        (["count", "--index", "index", "--ids", "1", "--text", "a"], "give one of --ids, --ids-file, --text and"),
        (["count", "--index", "index", "--text", "a"], "a text needs --model, whose tokenizer splits it"),
        (["count", "--index", "index", "--ids", "1,x"], "--ids is not a row of ids (Expecting value"),
        (["count", "--index", "index", "--ids", "1.5"], "--ids is not a row of ids: expected whole numbers like 1,2,3"),
        (["count", "--index", "index", "--ids", "-1"], "--ids holds an id outside 0 to 2^32 - 1"),
        (["count", "--index", "index", "--ids", ""], "--ids holds no ids: give at least 1"),
        (["count", "--index", "index", "--ids", "1", "--kind", "all"], "kind 'all' is unknown: use one of stream, "),
        (["count", "--index", "index", "--ids", "1", "--model", "other"], "the index index was built with tokenizer "),
        (["count", "--index", "index", "--ids", "1", "--out", "no/x.json"], "--out no/x.json: its folder does not"),
        (["trace", "--index", "index", "--ids", "1", "--at-least", "0"], "spans of 0 tokens cannot be looked for"),
        (["trace", "--index", "index", "--ids-file", "none"], "none cannot be read: No such file or directory"),
        (
            ["trace", "--index", "index", "--text", "a", "--model", "broken"],
            "{models}/broken/tokenizer.json cannot be read: ",
        ),
        (["trace", "--index", "index", "--text", "a", "--model", "pythia-14m-deduped"], "pythia-14m-deduped is not "),
        (["build", "--model", "tiny", "--input", "nope", "--out", "i"], "nope is no file and no folder: name what is"),
        ([*BUILD[1:], "--shard-tokens", "0"], "--shard-tokens is 0: give at least 1"),
        ([*BUILD[1:], "--dtype", "u2"], "dtype 'u2' is unknown: use one of uint8, uint16, uint32, int32, int64"),
        (["build", "--model", "tiny", "--input", "docs", "--out", "docs/a.txt"], "--out docs/a.txt is no folder"),
    ],
)
def test_what_cannot_be_used(indexed: CommandLine, words: list[str], sentence: str) -> None:
    assert indexed.refused("corpus", *words).startswith(sentence.format(models=indexed.models))


def test_a_corpus_without_tokens(cli: CommandLine) -> None:
    (cli.folder / "empty").mkdir()
    words = ["build", "--model", "tiny", "--input", "empty", "--out", "i"]
    assert cli.refused("corpus", *words, after=f"{MEMORY}\n") == "the corpus has no tokens: nothing to index"


def test_no_library_is_a_failure(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object) -> None:
        raise Failure("no n-gram index can be built here")

    monkeypatch.setattr("memviz.corpus.building.sorted_suffixes", unavailable)
    (cli.folder / "docs" / "b.jsonl").unlink()
    assert cli.refused(*BUILD, code=1, after=f"{MEMORY}\n") == "no n-gram index can be built here"


def test_no_torch_is_needed(indexed: CommandLine) -> None:
    code = (
        "import json, sys; from memviz import cli\n"
        "for words in json.loads(sys.argv.pop()):\n"
        "    sys.argv[1:] = words\n"
        "    try: cli.main()\n"
        "    except SystemExit as left: assert not left.code\n"
        "assert not {'torch', 'transformers', 'streamlit'} & set(sys.modules)"
    )
    words = json.dumps([BUILD, ["corpus", "trace", "--index", "index", "--ids", "1,2,3"]])
    done = subprocess.run(
        [sys.executable, "-c", code, words],
        cwd=indexed.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
