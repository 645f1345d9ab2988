"""`memviz predictor`: fit predictors of memorization on a sweep, evaluate them, ask them about one prompt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from memviz.cli.shared import check_out, context_for, read_text
from memviz.disk import new_file, write_text
from memviz.errors import InputError
from memviz.settings import Settings, load_settings
from memviz.tasks.base import answer, ready
from memviz.tasks.trace import DEFAULT_CONTEXT

app = typer.Typer(help="Predict which tokens of a continuation are memorized.")
ALL = "all"
SweepFolder = Annotated[Path, typer.Option(help="Folder of a finished sweep that has k and m.")]
Models = Annotated[str, typer.Option(help="Models of the sweep, separated by commas, or all.")]
SettingNames = Annotated[str, typer.Option(help="published, causal, context, several with commas, or all.")]


def _words(value: str, known: Sequence[str]) -> list[str]:
    return list(known) if value == ALL else [part.strip() for part in value.split(",") if part.strip()]


@app.command()
def fit(
    sweep: SweepFolder,
    models: Models = ALL,
    setting: SettingNames = ALL,
    preset: Annotated[str, typer.Option(help="default, small, ensemble, or published (the study's size).")] = "default",
    k: Annotated[int, typer.Option(help="Context tokens.")] = 32,
    m: Annotated[int, typer.Option(help="Continuation tokens.")] = 64,
    seed: Annotated[int, typer.Option(help="Of weights, order and dropout.")] = 0,
    sample: Annotated[int | None, typer.Option(help="So many rows, drawn by a hash.")] = None,
    windows: Annotated[int, typer.Option(help="Of each training row: further ones give it other contexts.")] = 1,
    split: Annotated[str, typer.Option(help="Never parted: group (near-duplicates), or document.")] = "group",
    no_hidden: Annotated[bool, typer.Option(help="Read statistics alone.")] = False,
    ngrams: Annotated[bool, typer.Option(help="Also read counts of generated 1- and 2-grams.")] = False,
    transfer: Annotated[bool, typer.Option(help="Statistics alone, and allowed for other models.")] = False,
    name: Annotated[str, typer.Option(help="What to call them on the pages.")] = "",
    ship: Annotated[Path | None, typer.Option(help="Folder that gets them too, their tables in one.")] = None,
) -> None:
    """Fit one predictor a model and setting; one that was stopped goes on."""
    from memviz.predictor import SETTINGS, fit_task
    from memviz.predictor.known import rename
    from memviz.sweeps import read_sweep

    settings, found = load_settings(), read_sweep(sweep)
    options: dict[str, Any] = {
        "k": k,
        "m": m,
        "preset": preset,
        "seed": seed,
        "n_rows": sample,
        "windows": windows,
        "split": split,
    }
    options |= {"hidden": not (no_hidden or transfer), "ngrams": ngrams, "transfer": transfer}
    tasks = [
        fit_task(found, model, name, **options)  # type: ignore[arg-type]  # checked there
        for model in _words(models, found.task.models)
        for name in _words(setting, SETTINGS)
    ]
    context, done = context_for(settings), []
    for task in tasks:
        _, known, was_fitted = answer(task, context)
        done.append(known)
        if name:
            rename(known, name)
        numbers, seconds = known.about["metrics"], known.about["seconds"]
        typer.echo(
            f"{task.model}, {task.setting}: token accuracy {numbers['token_accuracy']:.3f}, full "
            f"{numbers['full_accuracy']:.3f}, prevalence {numbers['prevalence']:.3f}, n = {numbers['n_test']:,}; "
            + ("fitted before" if was_fitted else f"fitted in {seconds['fitting']:.0f} s")
        )
        typer.echo(f"  {known.id}")
    if ship is not None:
        _ship(done, ship.resolve())


def _ship(done: Sequence[Any], folder: Path) -> None:
    """Copy predictors into a folder, with their tables together."""
    from memviz.predictor.files import ABOUT, WEIGHTS
    from memviz.predictor.tables import joined, slim, write_tables

    targets = [folder / f"{known.model}-{known.setting}" for known in done]
    others = sorted({path.parent for path in folder.glob(f"*/{ABOUT}")} - set(targets))
    if others or len(set(targets)) < len(done):
        raise InputError(f"{folder} holds {(others or targets)[0].name} too: ship all predictors of a folder at once")
    for known, target in zip(done, targets, strict=True):
        for name in (WEIGHTS, ABOUT):
            with new_file(target / name) as new:
                shutil.copyfile(known.folder / name, new)
    write_tables(slim(joined([known.tables() for known in done])), folder)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    typer.echo(f"{len(done)} predictors in {folder}: {n_bytes:,} bytes")


@app.command()
def evaluate(
    sweep: Annotated[
        Path | None, typer.Option(help="Evaluate anew on the test part of this sweep [what was kept].")
    ] = None,
    models: Annotated[str, typer.Option(help="Models asked about, separated by commas, or all.")] = ALL,
    setting: SettingNames = ALL,
    predictor: Annotated[str | None, typer.Option(help="Only this one: the start of its id.")] = None,
    transfer: Annotated[bool, typer.Option(help="Predictors fitted with --transfer, on models of any size.")] = False,
    exposures: Annotated[bool, typer.Option(help="Also by exposures of the suite's rows.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables as Parquet.")] = None,
) -> None:
    """Token and full accuracy of predictors and baselines on test rows, beside the study's."""
    from memviz.cli.predictions import report
    from memviz.demo.index import SUITE
    from memviz.predictor.tables import joined, write_tables

    found = list(_evaluations(sweep, models, setting, predictor, transfer))
    tables = joined([each for _, each in found])
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_tables(tables, out)
    of_suite = {known.id for known, _ in found if exposures and known.about["data"]["source"] == SUITE}
    if exposures and not of_suite:
        raise InputError("none of these predictors is of the suite's rows, whose exposures are known: no --exposures")
    typer.echo(report(tables, of_suite), nl=False)


def _evaluations(sweep: Path | None, models: str, setting: str, predictor: str | None, transfer: bool) -> Any:
    from memviz.predictor import SETTINGS, known_predictors
    from memviz.predictor.judging import evaluate_on
    from memviz.sweeps import read_sweep

    settings = load_settings()
    usable = [each for each in known_predictors(settings) if each.transfers == transfer]
    usable = [each for each in usable if each.setting in _words(setting, SETTINGS)]
    usable = [each for each in usable if predictor is None or each.id.startswith(predictor)]
    if not usable:
        raise InputError("there is no such predictor: fit one with `memviz predictor fit`")
    if sweep is None:
        names = {each.model for each in usable} if models == ALL else set(_words(models, ()))
        yield from ((each, each.tables()) for each in usable if each.model in names)
        return
    found, context = read_sweep(sweep), context_for(settings)
    for model in _words(models, found.task.models):
        for each in usable:
            if transfer or each.weights == found.weights_of(model):
                yield each, evaluate_on(each, found, model, context)


@app.command()
def apply(
    model: Annotated[str, typer.Option(help="A name of `memviz models`.")],
    text_file: Annotated[Path | None, typer.Option(help="UTF-8 text, split by the model's own tokenizer.")] = None,
    ids_file: Annotated[Path | None, typer.Option(help="An ids file of `memviz trace`.")] = None,
    setting: SettingNames = ALL,
    context: Annotated[int | None, typer.Option(help=f"Context tokens of a text [{DEFAULT_CONTEXT}].")] = None,
    continuation: Annotated[int | None, typer.Option(help="Continuation tokens.")] = None,
    predictor: Annotated[str | None, typer.Option(help="This one: the start of its id.")] = None,
    transfer: Annotated[bool, typer.Option(help="Allow predictors that were fitted on another model for it.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write instead of the table.")] = None,
) -> None:
    """Trace one prompt greedily, and say how likely each generated token is the true one."""
    from memviz.cli.tracing import task_of_ids_file
    from memviz.predictor import SETTINGS, predict
    from memviz.tasks.trace import task_of_text, tokenizer_of

    if (text_file is None) == (ids_file is None):
        raise InputError("give either --text-file or --ids-file")
    if out is not None:
        check_out(out)
    settings = load_settings()
    its = context_for(settings)
    card = ready(model, its)
    tokenizer = tokenizer_of(card, settings)
    if ids_file is not None:
        task = task_of_ids_file(read_text(ids_file), str(ids_file), model, continuation, {})
    else:
        assert text_file is not None
        task = task_of_text(read_text(text_file), card, tokenizer, context or DEFAULT_CONTEXT, continuation)
    n_context = len(task.context_ids) - task.n_leading(card)
    chosen = _chosen(card, settings, _words(setting, SETTINGS), predictor, transfer, n_context)
    run = answer(task, its).result
    said = {name: predict(known, run.trace, card)[0] for name, known in chosen.items()}
    ids = run.trace.generated_ids[0].tolist()
    if out is not None:
        values = {name: [None if p != p else round(float(p), 6) for p in each] for name, each in said.items()}
        document = {
            "format": 1,
            "model": model,
            "predictors": {name: known.id for name, known in chosen.items()},
            "generated_ids": ids,
            "probability": values,
        }
        write_text(out.resolve(), json.dumps(document, allow_nan=False, indent=1) + "\n")
        return
    for name, known in chosen.items():
        typer.echo(f"{name}: said by {known.name or known.id[:12]}{', bundled' if known.shipped else ''}")
    lines = [("t", "id", "token", *said)]
    for t, token in enumerate(ids):
        text = json.dumps(tokenizer.to_bytes([token]).decode("utf-8", "backslashreplace"), ensure_ascii=False)
        lines.append((str(t), str(token), text, *(f"{each[t]:.3f}" for each in said.values())))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _chosen(
    card: Any, settings: Settings, names: list[str], predictor: str | None, transfer: bool, n_context: int
) -> dict[str, Any]:
    """Setting -> predictor to be asked. Raises InputError where there is none."""
    from memviz.predictor import known_predictors, predictors_for

    known = known_predictors(settings)
    if predictor is not None:
        known = [each for each in known if each.id.startswith(predictor)]
    found: dict[str, Any] = {str(name): each for name, each in predictors_for(card, settings, known, n_context).items()}
    if transfer or predictor is not None:
        others: dict[str, Any] = {
            str(each.setting): each for each in reversed(known) if predictor is not None or each.transfers
        }
        found = {**others, **found} if transfer else {**found, **{n: e for n, e in others.items() if not e.transfers}}
    chosen = {name: found[name] for name in names if name in found}
    if not chosen:
        hint = "" if transfer else ", or allow one of another size with --transfer"
        raise InputError(f"there is no predictor for {card.name}: fit one with `memviz predictor fit`{hint}")
    return chosen
