"""Every causal family of transformers as a tiny random model, held against transformers' own `generate`."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from memviz.catalog import Folder, Model
from memviz.engine.examination import FORWARD_FAILS, NEEDS_MORE, Refused, needs_more
from memviz.engine.loading import Loaded, first_line, load_model
from memviz.engine.preparing import prepare
from memviz.engine.reader import Reader
from memviz.engine.tiny_configs import VOCAB, tiny_config
from memviz.engine.tracing import trace
from memviz.records import Decoding, Prompts
from memviz.settings import Settings

Outcome = Literal["exact", "plain", "refused", "wrong", "failed"]
N_CONTEXT, N_STEPS, N_WRONG = 20, 24, 9
"""Tokens read and written; the place at which the truth that is read is not what the model writes."""
_SEEDS = range(4)
"""Contexts are tried until no margin is so small that rounding decides."""
_CLEAR = 1e-3
_MAX_PARAMETERS = 20_000_000


@dataclass(frozen=True)
class Held:
    """How one family stands."""

    family: str
    outcome: Outcome
    """exact: verified against one pass, the tokens of `generate`; plain: the same, step by step or by whole rows."""
    detail: str = ""
    """Why it is refused, or what went wrong."""


def families() -> tuple[str, ...]:
    """The names under which transformers knows causal language models."""
    return tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def hold_families(names: Sequence[str]) -> Iterator[Held]:
    """How each of some families stands, one after the other."""
    with tempfile.TemporaryDirectory(prefix="memviz-families-") as scratch:
        for name in names:
            folder = Path(scratch, name.replace("/", "-"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a family's own code, on sizes that nobody uses
                yield hold(name, folder)
            shutil.rmtree(folder, ignore_errors=True)


def hold(family: str, scratch: Path) -> Held:
    """Make a tiny model in a scratch folder, get it ready, trace it, and compare with `generate`."""
    try:
        config = tiny_config(family)
    except Exception as error:
        told = f"no tiny configuration: {first_line(error)}"
        more = needs_more(CONFIG_MAPPING[family])
        return Held(family, *(("refused", f"{NEEDS_MORE} ({told})") if more else ("failed", told)))
    try:
        _write_model(config, scratch / family)
    except Exception as error:  # a part of it is not there, or its own code fails
        return Held(family, "refused", f"{NEEDS_MORE if needs_more(config) else FORWARD_FAILS} ({first_line(error)})")
    try:
        settings = Settings(cache=scratch / "cache", device="cpu", model_roots=())
        card = prepare(Model(family, family, Folder(scratch / family), "", ""), settings)
        loaded = load_model(card, "float32", torch.device("cpu"))
        return _compare(family, loaded)
    except Refused as error:
        return Held(family, "refused", error.reason)
    except Exception as error:
        return Held(family, "failed", f"{type(error).__name__}: {first_line(error)}")


def _write_model(config: PretrainedConfig, folder: Path) -> None:
    """A random model with preferences, and a tokenizer of as many words as it has ids."""
    torch.manual_seed(0)
    with torch.device("meta"):
        n_parameters = sum(each.numel() for each in AutoModelForCausalLM.from_config(config).parameters())
    if n_parameters > _MAX_PARAMETERS:
        raise ValueError(f"a tiny model would have {n_parameters:,} parameters")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    if model.config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:  # a part that is known by the whole's name
        config.save_pretrained(folder)
    words = FastTokenizer(models.WordLevel({f"w{i}": i for i in range(VOCAB)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def _compare(family: str, loaded: Loaded) -> Held:
    verified = loaded.card.way == "cache" and Reader(loaded).can_roll_back
    own = None
    for seed in _SEEDS:
        ids = torch.from_numpy(np.random.default_rng(seed).integers(3, VOCAB, (1, N_CONTEXT)))
        try:
            own = _generate(loaded.model, ids)
        except Exception as error:
            return Held(family, "refused", f"{FORWARD_FAILS} (generate: {first_line(error)})")
        truth = own.copy()
        truth[:, N_WRONG] = (truth[:, N_WRONG] + 1) % VOCAB
        found = trace(loaded, Prompts(ids.numpy(), truth), N_STEPS, Decoding(), 0.0)
        if (found.generated_ids == own).all():
            return Held(family, "exact" if verified else "plain", "" if loaded.card.way == "cache" else "whole rows")
        if float(found.free_running.margin.min()) > _CLEAR:
            at = int(np.argmax(found.generated_ids[0] != own[0]))
            return Held(family, "wrong", f"other tokens than generate from token {at} on")
    return Held(family, "wrong", "every context has a margin that rounding decides")


def _generate(model: PreTrainedModel, ids: torch.Tensor) -> np.ndarray:
    """(1, m) by transformers' own greedy decoding, an end of sequence like any other token."""
    neutral = GenerationConfig(
        max_new_tokens=N_STEPS, do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=None
    )
    neutral.use_cache = bool(model.config.use_cache)
    model.generation_config = GenerationConfig()
    with torch.inference_mode():
        written = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=neutral)
    return written[:, ids.shape[1] :].numpy()


def table(held: Sequence[Held]) -> str:
    """The outcomes as Markdown: one line an outcome, with its families."""
    lines = ["| outcome | families | which |", "|---|---|---|"]
    groups: dict[str, list[str]] = {}
    for each in held:
        reason = each.detail.partition(" (")[0]
        name = each.outcome if each.outcome == "exact" or not reason else f"{each.outcome}: {reason}"
        groups.setdefault(name, []).append(f"`{each.family}`")
    order = ("exact", "plain", "refused", "wrong", "failed")
    for name, members in sorted(groups.items(), key=lambda group: order.index(group[0].partition(":")[0])):
        lines.append(f"| {name} | {len(members)} | {', '.join(members)} |")
    counts: Counter[str] = Counter(each.outcome for each in held)
    total = ", ".join(f"{counts[name]} {name}" for name in order)
    return "\n".join([*lines, "", f"{len(held)} names: {total}."])
