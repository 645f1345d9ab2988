"""Tiny random models as folders in Hugging Face layout, each with a small tokenizer of its own."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from support.tiny_models import EOS, FAMILIES, LIMIT
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from memviz.catalog import find_model
from memviz.engine.preparing import prepare
from memviz.settings import load_settings

VOCAB = 320
BOS = 1
SPECIAL = ["<unk>", "<s>", "<pad>", "<mask>", "<sep>", "</s>"]
TEXT = "We the People of the United States, in Order to form a more perfect Union, establish Justice"
assert SPECIAL[BOS] == "<s>" and SPECIAL[EOS] == "</s>"


def byte_level(with_bos: bool) -> FastTokenizer:
    """GPT-2's kind: byte-level BPE; with a post-processor that puts <s> in front, or without one."""
    tokenizer = FastTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    if with_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", BOS)]
        )
    return tokenizer


def byte_fallback() -> FastTokenizer:
    """SentencePiece's kind: spaces as ▁, characters outside the vocabulary as bytes <0x..>, a <s> in front."""
    characters = sorted({*TEXT.replace(" ", "▁"), *"abcdefghijklmnopqrstuvwxyz"})
    names = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *characters, "th", "▁th"]
    vocabulary = {name: number for number, name in enumerate(names)}
    merges = [("t", "h"), ("▁", "th")]
    tokenizer = FastTokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("\n+"), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", BOS)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


TOKENIZERS = {
    "plain": lambda: byte_level(with_bos=False),
    "bos": lambda: byte_level(with_bos=True),
    "fallback": byte_fallback,
}


@cache
def _template(family: str, tokenizer: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="memviz-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fast = TOKENIZERS[tokenizer]()
    assert fast.get_vocab_size() <= VOCAB + 40
    PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        **FAMILIES[family],
        vocab_size=VOCAB + 40,
        max_position_embeddings=LIMIT,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    assert sum(parameter.numel() for parameter in model.parameters()) < 200_000
    model.save_pretrained(folder)
    return folder


def write_model(folder: Path, family: str = "llama", tokenizer: str = "plain", **config: Any) -> Path:
    """A model folder; `config` changes its config.json."""
    shutil.copytree(_template(family, tokenizer), folder)
    if config:
        change(folder / "config.json", **config)
    return folder


def ready_model(name: str, root: Path, cache: Path, limit: int = 160, family: str = "llama") -> None:
    """A model under a root, got ready in a cache; it decodes nearly at once, and goes on for `limit` tokens."""
    write_model(root / name, family, max_position_embeddings=limit)
    settings = load_settings(cache=cache, model_roots=(root,))
    prepare(find_model(name, settings), settings)


def left_in(folder: Path) -> list[str]:
    """Files other than locks."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def change(path: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
