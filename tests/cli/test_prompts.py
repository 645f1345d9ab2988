"""Texts, ids and options of `memviz trace` that cannot be used: one sentence, exit code 2, nothing written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.cli import CommandLine
from support.tiny_models import LIMIT

VOCABULARY = 360
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
