"""`memviz corpus`: index a corpus, count its n-grams, find where a text stands in it."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memviz.catalog import Folder, card_folder, find_model, read_card
from memviz.cli.shared import check_out, read_text, say
from memviz.disk import write_text
from memviz.errors import InputError
from memviz.settings import load_settings
from memviz.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np

    from memviz.corpus import Corpus, Span

FORMAT = 1
N_SHOWN = 5
app = typer.Typer(help="Index a training corpus, and look texts up in it.")
Index = Annotated[Path, typer.Option(help="Folder of an index made by `memviz corpus build`.")]
ModelName = Annotated[str | None, typer.Option(help="Split texts by this model's tokenizer, and show its tokens.")]
Out = Annotated[Path | None, typer.Option(help="JSON file to write instead of the table.")]
UntilStep = Annotated[int | None, typer.Option(help="Only exposures of this training step and before.")]


def tokenizer_named(model: str) -> Tokenizer:
    """The tokenizer of a prepared model, or of a local folder's file. Raises InputError."""
    settings = load_settings()
    found = find_model(model, settings)
    card = read_card(found, settings)
    if card is not None:
        return Tokenizer(card_folder(found, settings), card.leading_ids)
    if isinstance(found.source, Folder) and (found.source.path / "tokenizer.json").is_file():
        try:
            return Tokenizer(found.source.path, [])
        except Exception as error:  # whatever the library makes of a file that nobody vouches for
            raise InputError(f"{found.source.path / 'tokenizer.json'} cannot be read: {error}") from None
    raise InputError(f"{model} is not prepared yet: run `memviz models add {model}` first")


@app.command()
def build(
    model: Annotated[str, typer.Option(help="A prepared model; its tokenizer splits the texts.")],
    input: Annotated[
        list[Path], typer.Option(help="A file or folder: text, .jsonl, .csv, .parquet, .npy, .bin. Repeatable.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the index; finished shards in it are used again.")],
    name: Annotated[str | None, typer.Option(help="Name of the index [the folder's].")] = None,
    text_column: Annotated[str, typer.Option(help="Of .jsonl, .csv, .tsv and .parquet.")] = "text",
    ids_column: Annotated[str, typer.Option(help="Token ids of the same, taken instead of text.")] = "ids",
    dtype: Annotated[
        str | None, typer.Option(help="Of .bin: uint8, uint16, uint32, int32 or int64 [recognised, and said].")
    ] = None,
    separator: Annotated[int | None, typer.Option(help="Id between documents of .bin and 1-d .npy.")] = None,
    pad_id: Annotated[int | None, typer.Option(help="Id that fills rows of ids up; they are cut there.")] = None,
    shard_tokens: Annotated[int | None, typer.Option(help="Tokens of one shard; fewer need less memory.")] = None,
) -> None:
    """Index a corpus of your own; what cannot be read is listed and counted."""
    from memviz.corpus import build as build_index
    from memviz.corpus.documents import SHARD_TOKENS, Origins, document_shards, input_files
    from memviz.corpus.suffixes import memory_to_build
    from memviz.rows.layout import Layout
    from memviz.store.sizes import refuse_more

    if shard_tokens is not None and shard_tokens < 1:
        raise InputError(f"--shard-tokens is {shard_tokens}: give at least 1")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is no folder: name a folder")
    settings = load_settings()
    refuse_more(settings, out)
    layout = Layout(text_column, ids_column, dtype=dtype, separator=separator, pad_id=pad_id)
    tokenizer = tokenizer_named(model)
    left_out, n_reused = 0, 0

    def refuse(problem: str) -> None:
        nonlocal left_out
        left_out += 1
        typer.echo(f"left out: {problem}", err=True)

    def report(n_tokens: int, reused: bool) -> None:
        nonlocal n_reused
        n_reused += reused
        refuse_more(settings, out)
        say(f"{n_tokens:,} tokens {'were indexed before' if reused else 'indexed'}")

    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # nothing forks here
    files = input_files(input, refuse)
    origins = Origins()
    note = partial(typer.echo, err=True)
    most = shard_tokens or SHARD_TOKENS
    note(f"a shard of {most:,} tokens takes about {memory_to_build(most, tokenizer.n_ids) / 1e9:,.2f} GB of memory")
    shards = document_shards(files, tokenizer, origins, refuse, layout, most, note)
    manifest = build_index(
        out, name or out.resolve().name, tokenizer.hash, tokenizer.n_ids, shards, origins.table, report
    )
    typer.echo(
        f"{manifest.name}: {manifest.n_tokens:,} tokens in {manifest.n_rows:,} documents, "
        f"{len(manifest.shards)} shards ({n_reused} from before); {left_out:,} files or lines left out"
    )


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the corpus is called here.")],
    infini_gram: Annotated[Path, typer.Option(help="Folder of an index built by the package infini-gram.")],
    model: Annotated[str, typer.Option(help="A prepared model, whose tokenizer the index was built with.")],
    dtype: Annotated[
        str | None, typer.Option(help="Of its ids: uint8, uint16, uint32 [the narrowest that fits].")
    ] = None,
) -> None:
    """Make an index that was built elsewhere a corpus; it is read in place."""
    from memviz.corpus import Corpus
    from memviz.corpus.added import add as add_index
    from memviz.corpus.known import index_folder
    from memviz.corpus.suffixes import id_type

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise InputError(f"{name[:100]!r} is no name for a corpus: use up to 80 letters, digits, dots, - and _")
    tokenizer = tokenizer_named(model)
    place = index_folder(name, load_settings())
    if (place / "manifest.json").exists():
        raise InputError(f"{place} holds an index of its own: take another name")
    wanted = dtype or id_type(tokenizer.n_ids).__name__
    manifest = add_index(place, infini_gram, name, tokenizer.hash, tokenizer.n_ids, wanted)
    begins = _shown(tokenizer, Corpus.open(place).row_ids(0)[:16].tolist())
    typer.echo(
        f"{name}: {manifest.n_tokens:,} tokens in {manifest.n_rows:,} documents, {len(manifest.shards)} shards of "
        f"{wanted}; the first begins: {begins}"
    )


def _opened(index: Path, model: str | None) -> tuple[Corpus, Tokenizer | None]:
    """An index, and the tokenizer it was checked against where a model is named."""
    from memviz.corpus import Corpus

    tokenizer = tokenizer_named(model) if model else None
    return Corpus.open(index, tokenizer.hash if tokenizer else None), tokenizer


def _ids(ids: str | None, ids_file: Path | None, text: str | None, text_file: Path | None, model: str | None) -> Any:
    """Token ids from whichever option was given. Raises InputError."""
    if sum(option is not None for option in (ids, ids_file, text, text_file)) != 1:
        raise InputError("give one of --ids, --ids-file, --text and --text-file")
    if text is not None or text_file is not None:
        if model is None:
            raise InputError("a text needs --model, whose tokenizer splits it")
        return tokenizer_named(model).encode(read_text(text_file) if text_file is not None else text or "")
    name, content = ("--ids", f"[{ids}]") if ids_file is None else (str(ids_file), read_text(ids_file))
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a row of ids ({error}): expected whole numbers like 1,2,3") from None
    if isinstance(found, dict):
        found = [*(found.get("context_ids") or []), *(found.get("continuation_ids") or [])]
    if not isinstance(found, list) or any(type(token) is not int for token in found):
        raise InputError(f"{name} is not a row of ids: expected whole numbers like 1,2,3")
    if any(not 0 <= token < 2**32 for token in found):
        raise InputError(f"{name} holds an id outside 0 to 2^32 - 1")
    if not found:
        raise InputError(f"{name} holds no ids: give at least 1")
    return found


def _shown(tokenizer: Tokenizer | None, ids: list[int]) -> str:
    """The text of some ids as one line, or the ids where no tokenizer is at hand."""
    if tokenizer is None:
        return " ".join(map(str, ids))
    return json.dumps(tokenizer.to_bytes(ids).decode("utf-8", "backslashreplace"), ensure_ascii=False)


def _about(corpus: Corpus) -> dict[str, Any]:
    about = corpus.manifest
    return {
        "format": FORMAT,
        "index": {"name": about.name, "tokenizer_hash": about.tokenizer_hash, "n_tokens": about.n_tokens},
    }


@app.command()
def count(
    index: Index,
    ids: Annotated[str | None, typer.Option(help="Token ids, like 1,2,3.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="A JSON list of ids, or an ids file of `memviz trace`.")] = None,
    text: Annotated[str | None, typer.Option(help="A text; needs --model.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="A UTF-8 text; needs --model.")] = None,
    model: ModelName = None,
    kind: Annotated[str, typer.Option(help="stream, rows, or other (without the text's own rows).")] = "other",
    until_step: UntilStep = None,
    out: Out = None,
) -> None:
    """Count the n-gram that ends at each token of a text, n = 1 to 5, and the longest one found."""
    from memviz.corpus.index import ORDERS

    if out is not None:
        check_out(out)
    row = _ids(ids, ids_file, text, text_file, model)
    corpus, tokenizer = _opened(index, model)
    own = corpus.own_rows(row)
    counts = corpus.counts(row, ORDERS, kind, until_step, own)  # type: ignore[arg-type]  # checked there
    longest = corpus.longest_suffix(row, kind, until_step, own)  # type: ignore[arg-type]
    if out is not None:
        document = _about(corpus) | {
            "kind": kind,
            "until_step": until_step,
            "ids": list(row),
            "orders": list(ORDERS),
            "counts": [[value if value >= 0 else None for value in order] for order in counts.tolist()],
            "longest_suffix": longest.tolist(),
            "own_rows": own.tolist(),
        }
        write_text(out.resolve(), json.dumps(document, allow_nan=False, indent=1) + "\n")
        return
    typer.echo(f"{corpus.manifest.name}, {kind}; rows that share 16 tokens with the text: {len(own)}")
    lines = [("index", "id", "token", *(f"n={n}" for n in ORDERS), "longest")]
    for i, token in enumerate(row):
        numbers = [str(value) if value >= 0 else "-" for value in (*counts[:, i].tolist(), int(longest[i]))]
        lines.append((str(i), str(token), _shown(tokenizer, [token]) if tokenizer else "-", *numbers))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


@app.command()
def trace(
    index: Index,
    ids: Annotated[str | None, typer.Option(help="Token ids, like 1,2,3.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="A JSON list of ids, or an ids file of `memviz trace`.")] = None,
    text: Annotated[str | None, typer.Option(help="A text; needs --model.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="A UTF-8 text; needs --model.")] = None,
    model: ModelName = None,
    at_least: Annotated[int, typer.Option(help="Tokens of the shortest span listed.")] = 8,
    until_step: UntilStep = None,
    out: Out = None,
) -> None:
    """The longest verbatim spans of a text in the corpus, and the rows that hold them."""
    if out is not None:
        check_out(out)
    row = _ids(ids, ids_file, text, text_file, model)
    corpus, tokenizer = _opened(index, model)
    spans = corpus.spans(row, at_least, until_step)
    if out is not None:
        document = _about(corpus) | {
            "until_step": until_step,
            "at_least": at_least,
            "ids": list(row),
            "spans": [_span(corpus, span) for span in spans],
        }
        write_text(out.resolve(), json.dumps(document, allow_nan=False, default=str, indent=1) + "\n")
        return
    typer.echo(f"{corpus.manifest.name}: {len(spans)} spans of at least {at_least} of {len(row)} tokens")
    for span in spans:
        end = span.start + span.n_tokens
        typer.echo(
            f"tokens {span.start} to {end - 1} ({span.n_tokens}), {span.count} exposures of {len(span.rows)} rows: "
            f"{_shown(tokenizer, row[span.start : end])}"
        )
        for about in _rows(corpus, span.rows[:N_SHOWN]):
            typer.echo(
                "  row " + ", ".join(f"{key} {value}" if key != "row" else str(value) for key, value in about.items())
            )
        if len(span.rows) > N_SHOWN:
            typer.echo(f"  and {len(span.rows) - N_SHOWN} more rows; --out lists them all")


def _rows(corpus: Corpus, rows: np.ndarray) -> list[dict[str, Any]]:
    """What the table of rows says of some rows, their number first."""
    return [{"row": row} | corpus.about(row) for row in rows.tolist()]


def _span(corpus: Corpus, span: Span) -> dict[str, Any]:
    numbers = {"start": span.start, "n_tokens": span.n_tokens, "count": span.count}
    return numbers | {"rows": _rows(corpus, span.rows)}


@app.command()
def verify(index: Index) -> None:
    """Read every file of an index again; damaged ones are named, and it ends with 1 then."""
    from memviz.corpus import Corpus

    problems = Corpus.open(index).verify()
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(problems)} problems found")
    if problems:
        raise typer.Exit(1)
