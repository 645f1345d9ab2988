"""`memviz findings`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memviz.catalog import find_model
from memviz.cli.shared import check_out, context_for, say
from memviz.disk import write_text
from memviz.errors import InputError
from memviz.settings import ROOT, load_settings

if TYPE_CHECKING:
    from memviz.corpus import Corpus
    from memviz.tasks.base import Context

CLAIMS = ROOT / "docs" / "claims.toml"
OUTCOMES = "outcomes.json"
"""Beside the pictures: what came out of each edition of the document."""


def findings(
    sweep: Annotated[list[Path], typer.Option(help="Folder of a finished sweep, with those beside it. Repeatable.")],
    out: Annotated[Path | None, typer.Option(help="Markdown file to write, pictures beside it; else printed.")] = None,
    claims: Annotated[Path, typer.Option(help="The claims.")] = CLAIMS,
    index: Annotated[Path | None, typer.Option(help="Folder of the n-gram index [the models' own].")] = None,
) -> None:
    """Judge the claims on finished sweeps, and write what comes out."""
    from memviz.demo.suite import read_data
    from memviz.findings.beside import section
    from memviz.findings.claims import read_claims
    from memviz.findings.evidence import judge, statistics
    from memviz.findings.evidence.geometry import Spaces
    from memviz.findings.evidence.material import material_of
    from memviz.findings.history import as_json, continued, edition_of, read_history
    from memviz.findings.pictures import pictures
    from memviz.findings.report import document
    from memviz.population.ngrams import FrequencyTask
    from memviz.population.weighting import strata_of
    from memviz.predictor.known import known_predictors
    from memviz.sweeps import read_sweep
    from memviz.sweeps.rowset import SUITE
    from memviz.tasks.base import answer

    if out is not None:
        check_out(out)
    listed, settings = read_claims(claims), load_settings()
    sweeps = [each for named in map(read_sweep, sweep) for each in (named, *named.beside)]
    material, context = material_of(sweeps), context_for(settings)
    corpus = _corpus(material.models[-1], index, context)
    if corpus is not None:
        say("counting n-grams")
        material = material_of(sweeps, answer(FrequencyTask(sweeps[0], corpus), context).result)
    known = known_predictors(settings)
    verdicts, beside = judge(listed, material, statistics(Spaces(context), known)), section(known, material)
    strata = strata_of(read_data()) if sweeps[0].task.rows.source == SUITE else None
    if out is None:
        typer.echo(document(verdicts, material, strata, predictors=beside), nl=False)
        return
    out, drawn = out.resolve(), pictures(verdicts, material)
    earlier = out.with_suffix("") / OUTCOMES
    history = continued(read_history(earlier), edition_of(verdicts, material))
    out.with_suffix("").mkdir(exist_ok=True)
    write_text(earlier, as_json(history))
    for name, svg in drawn.items():
        write_text(out.with_suffix("") / f"{name}.svg", svg)
    paths = {name: f"{out.stem}/{name}.svg" for name in drawn}
    write_text(out, document(verdicts, material, strata, paths, history, beside))


def _corpus(model: str, index: Path | None, context: Context) -> Corpus | None:
    """The index of what the models were trained on, built where it is the suite's; None where there is none."""
    from memviz.cli.corpus import tokenizer_named
    from memviz.corpus import Corpus
    from memviz.corpus.known import index_folder, index_of
    from memviz.demo.index import SUITE
    from memviz.tasks.base import answer
    from memviz.tasks.preparing import IndexTask

    if index is not None:
        return Corpus.open(index, tokenizer_named(model).hash)
    try:
        found = find_model(model, context.settings)
        tokenizer = tokenizer_named(model)
    except InputError as error:
        typer.echo(f"n-grams are not counted: {error}", err=True)
        return None
    if found.index == SUITE and not (index_folder(SUITE, context.settings) / "manifest.json").is_file():
        answer(IndexTask(SUITE), context)
    return index_of(found, tokenizer, context.settings)
