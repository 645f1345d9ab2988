"""Make the suite: tokenizer, corpus, models, scores and cards, from the texts."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import typer
from safetensors.torch import save_file

from memviz import disk
from memviz.demo import cards, recipe
from memviz.demo.evaluation import CONDITIONS, evaluate, graded, neighbours, summary
from memviz.demo.recipe import Recipe, Size
from memviz.demo.stream import TrainingData, make
from memviz.demo.suite import SUITE_FOLDER, read_data, write_data, write_facts, write_table
from memviz.demo.training import build, checkpoint_steps, loss_of, train
from memviz.engine.backend import Backend
from memviz.engine.devices import choose_device
from memviz.settings import ROOT, Settings, quiet_libraries
from memviz.weights import count_parameters

TOKENIZER_CONFIG = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": recipe.SEPARATOR})
"""Without it transformers takes GPT-NeoX's own class, which normalizes texts and adds a token."""


DEVICES = {"cpu": "a processor"}
"""Where a model was trained, in the words of its card."""
Edition = Literal["first", "second", "smoke"]
RECIPES: dict[Edition, Recipe] = {"first": recipe.FIRST, "second": recipe.SECOND, "smoke": recipe.SMOKE}


@dataclass(frozen=True)
class Plan:
    """One training run."""

    size: Size
    seed: int

    @property
    def name(self) -> str:
        return self.size.name + (f"@seed{self.seed}" if self.seed else "")


def plans(made: Recipe) -> list[Plan]:
    """Every training run of a recipe: the sizes with their first seed, then the further seeds, the longest first."""
    runs = [Plan(size, seed) for size in made.sizes for seed in range(size.n_seeds)]
    return sorted(runs, key=lambda run: (run.seed, -run.size.width))


def _train(made: Recipe, run: Plan, work: Path, finished: Path, device: str, n_threads: int, every: int) -> str:
    """Train a run and write its model folders into `finished`; those that lie there are left as they are."""
    torch.set_num_threads(n_threads)
    sequences = np.load(work / "sequences.npy")
    n_steps = -(-len(sequences) // made.batch)

    def report(step: int, n_steps: int, loss: float) -> None:
        if step % every == 0:
            print(f"{run.name}: step {step} of {n_steps}, loss {loss:.3f}", flush=True)

    folders = {step: each for step, each in _folders(run, n_steps, finished).items() if not each.is_dir()}
    if folders:
        train(made, run.size, run.seed, sequences, work / run.name, torch.device(device), report)
        tokenizer = (work / "tokenizer.json").read_text("utf-8")
        for step, folder in folders.items():
            model = build(run.size, made.n_vocabulary, run.seed)
            model.load_state_dict(torch.load(work / run.name / f"step{step}.pt", weights_only=True))
            with disk.new_folder(folder) as new:
                _export(model, new, tokenizer)
                about = _facts(run, model, step, n_steps)
                write_facts(
                    new, label=f"{folder.name} (bundled suite)", trained_on=DEVICES.get(device, device), **about
                )
    return run.name


def _folders(run: Plan, n_steps: int, models: Path) -> dict[int, Path]:
    """Step -> the folder of that checkpoint, named as the model is; the last has the run's own name."""
    steps = checkpoint_steps(run.size, n_steps, run.seed)
    return {step: models / (run.name if step == n_steps else f"{run.name}@step{step}") for step in steps}


def _export(model: Any, folder: Path, tokenizer: str) -> None:
    """Write a model folder in float16."""
    weights = {key: value.half() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    model.config.dtype = "float16"
    model.config.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer, "utf-8")
    (folder / "tokenizer_config.json").write_text(TOKENIZER_CONFIG, "utf-8")


def _facts(run: Plan, model: Any, step: int, n_steps: int) -> dict[str, Any]:
    """What a model folder says of itself in memviz.json, besides its label and where it was trained."""
    counts = {key: p.numel() for key, p in model.named_parameters()}
    return {
        "licence": "CC0-1.0",
        "corpus": "the suite's own stream, known exactly",
        "index": "suite",
        "family": "suite",
        "size": run.size.name,
        "step": step,
        "n_steps": n_steps,
        "seed": run.seed,
        "n_parameters": sum(counts.values()),
        "non_embedding": sum(count for key, count in counts.items() if "embed" not in key),
    }


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _held_out_loss(name: str, data: TrainingData, backend: Backend, models: Path) -> float:
    """Mean -log p of the tokens of held-out rows, each after a separator, in float32 (nats)."""
    from transformers import GPTNeoXForCausalLM

    model = GPTNeoXForCausalLM.from_pretrained(models / name, dtype=torch.float32, attn_implementation="sdpa")
    ids = data.ids[data.bucket == 0].astype(np.int64)
    ids = np.concatenate([np.zeros((len(ids), 1), np.int64), ids], axis=1)
    with torch.inference_mode():
        return loss_of(model.to(backend.device).eval(), torch.from_numpy(ids).to(backend.device)).item()


def main(
    out: Annotated[Path, typer.Option(help="Folder the suite is written to.")] = SUITE_FOLDER,
    work: Annotated[Path, typer.Option(help="Folder for the state of training.")] = ROOT / "cache" / "suite-training",
    finished: Annotated[Path | None, typer.Option(help="Folder for models trained to the end; in --work.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Train this run alone, such as suite-0.3m@seed1.")] = None,
    edition: Annotated[Edition, typer.Option(help="Which recipe; smoke: a tiny suite in about a minute.")] = "first",
    seed: Annotated[int | None, typer.Option(help="Assignment seed, where it is not the recipe's.")] = None,
    jobs: Annotated[int, typer.Option(help="Training runs at once; 0: one a core, or one on a GPU.")] = 0,
) -> None:
    """Make the suite; a stopped run goes on where it was. On two cores this takes hours."""
    quiet_libraries()
    made = RECIPES[edition]
    if seed is not None:
        made = replace(made, assignment_seed=seed)
    settings = Settings(cache=work / "cache", model_roots=(out / "models",))
    device = choose_device(settings.device)
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = jobs or (n_cores if device.type == "cpu" else 1)
    finished = finished or work / "models"
    asked = [run for run in plans(made) if not only or run.name in only]
    if unknown := set(only or ()) - {run.name for run in asked}:
        known = ", ".join(run.name for run in plans(made))
        raise typer.BadParameter(f"{min(unknown)} is no run of this recipe: it has {known}")
    for mark in (work / "recipe.txt", finished / "recipe.txt"):
        if mark.is_file() and mark.read_text("utf-8") != repr(made):
            raise typer.BadParameter(f"{mark.parent} holds another recipe's training: give another, or remove it")
    data, tokenizer = make(made)
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    for folder in (work, finished):
        disk.write_text(folder / "recipe.txt", repr(made))
    disk.write_text(work / "tokenizer.json", text)
    with disk.new_file(work / "sequences.npy") as new, new.open("wb") as file:
        np.save(file, data.sequences)
    print(f"{len(data.ids):,} rows, {len(data.order):,} exposures, {data.n_steps:,} steps, on {device.type}")
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        shared = (work, finished, device.type, max(1, n_cores // jobs), max(1, data.n_steps // 50))
        runs = [pool.submit(_train, made, run, *shared) for run in asked]
        for run in as_completed(runs):
            print(f"{run.result()}: trained")
    if only:
        return
    with disk.new_folder(out) as new:
        write_data(data, new / "corpus")
        (new / "corpus" / "tokenizer.json").write_text(text, "utf-8")
        folders = [folder for run in plans(made)[::-1] for folder in _folders(run, data.n_steps, finished).values()]
        for folder in folders:
            shutil.copytree(folder, new / "models" / folder.name)
    measure(out, made, [folder.name for folder in folders], Backend(settings), work / "scores")


def measure(out: Path, made: Recipe, names: list[str], backend: Backend, scores_folder: Path) -> None:
    """Ask every model for every bucketed row; write scores.parquet, summary.parquet and the two cards into `out`.

    What a model was found to recite is kept in `scores_folder`, so that a stopped measurement goes on.
    """
    data = read_data(out / "corpus")
    scores_folder.mkdir(exist_ok=True)
    parts, lines = [], []
    for name in names:
        facts = json.loads((out / "models" / name / "memviz.json").read_text("utf-8"))
        kept = scores_folder / f"{name}-{file_hash(out / 'models' / name / 'model.safetensors')[:16]}.parquet"
        if not kept.is_file():
            wanted = CONDITIONS if facts["step"] == data.n_steps else CONDITIONS[:1]
            with disk.new_file(kept) as part:
                write_table(evaluate(name, data, backend, wanted), part)
        parts.append(pd.read_parquet(kept))
        loss = _held_out_loss(name, data, backend, out / "models")
        n_parameters = count_parameters(out / "models" / name)
        lines.append(
            {
                "model": name,
                "parameters": f"{n_parameters:,}",
                "non-embedding": f"{facts['non_embedding']:,}",
                "step": facts["step"],
                "training seed": facts["seed"],
                "trained on": facts["trained_on"],
                "held-out loss (nats)": f"{loss:.3f}",
            }
        )
        print(f"{name}: scored, held-out loss {loss:.3f}", flush=True)
    scores = pd.concat(parts, ignore_index=True)
    measured = summary(scores, data)
    write_table(scores, out / "scores.parquet")
    write_table(measured, out / "summary.parquet")
    sizes = [size.name for size in made.sizes]
    ladder = [table(scores, data, sizes) for table in (graded, neighbours)]
    (out / "DATA_CARD.md").write_text(cards.data_card(data, made), "utf-8")
    (out / "MODEL_CARD.md").write_text(cards.model_card(pd.DataFrame(lines), measured, ladder, made), "utf-8")
