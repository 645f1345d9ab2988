"""The tokenizer a model came with, kept as one tokenizer.json; what transformers' class for it would do otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoTokenizer

from memviz.engine.loading import first_line
from memviz.errors import InputError
from memviz.tokenizer import read_tokenizer
from memviz.weights import read_json

PROBES = {
    "words": "The quick brown fox, isn't it?",
    "digits": "In 1234567 of 2026, 3.14159 and 0x1F",
    "spaces": "a  b   c    d\t\te ",
    "newlines": "one\n\ntwo\r\n\n\nthree",
    "code": "def f(x):\n    return {'a': x[0]} # ==!=",
    "emoji": "é ñ 中文 \U0001f926\U0001f3fd\u200d♀️",
}
"""Texts that classes and files are known to split otherwise."""
_MADE_OF = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken")
_READ = "tokenizer.json, a SentencePiece .model, vocab.json with merges.txt, or vocab.txt"


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has a file that a tokenizer is made of."""
    return any(next(folder.glob(name), None) for name in _MADE_OF)


def keep_tokenizer(folder: Path, new: Path) -> tuple[list[int], Any, list[str]]:
    """Lay a tokenizer.json into a new folder; leading ids, end of sequence by the tokenizer, remarks.

    A tokenizer.json is taken as it is; of other files transformers makes one. Raises InputError.
    """
    file = folder / "tokenizer.json"
    if not has_tokenizer(folder):
        raise InputError(f"{folder} has no tokenizer file: {_READ} are read; copy it from the model's origin")
    if (folder / "tokenizer_config.json").is_file():
        read_json(folder / "tokenizer_config.json")  # it decides what is put in front of a text
    failed, known = None, None
    try:
        known = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        bare, dressed = (known("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    except Exception as error:  # whatever a library makes of files that nobody vouches for
        failed = first_line(error)
    if file.is_file():
        try:
            own = read_tokenizer(file)
        except Exception as error:
            raise InputError(f"{folder} has no tokenizer that can be read: {first_line(error)}") from None
        shutil.copyfile(file, new / file.name)
    else:
        if known is None:
            raise InputError(f"{folder} has no tokenizer that can be read: {failed}")
        known.save_pretrained(new)
        if not (new / "tokenizer.json").is_file():
            raise InputError(f"{folder} has no fast tokenizer: add a tokenizer.json")
        own = read_tokenizer(new / "tokenizer.json")
    by_file = [own.encode("a", add_special_tokens=special).ids for special in (False, True)]
    if known is None:
        remark = f"transformers cannot make the tokenizer that its files name ({failed}): tokenizer.json alone is used"
        return _leading(folder, *by_file), None, [remark]
    leading = _leading(folder, bare, dressed)
    return leading, known.eos_token_id, _remarks(own, known, by_file, leading)


def _leading(folder: Path, bare: list[int], dressed: list[int]) -> list[int]:
    """What is put in front of a text. Raises InputError where anything else is put around it."""
    n = len(dressed) - len(bare)
    if n < 0 or dressed[n:] != bare:
        raise InputError(
            f"{folder} has a tokenizer that puts more than leading tokens around a text: use another model"
        )
    return dressed[:n]


def _remarks(own: FastTokenizer, known: Any, by_file: list[list[int]], leading: list[int]) -> list[str]:
    """One sentence where the class splits probe texts otherwise, and one where it puts others in front."""
    kind, found = type(known).__name__, []
    for name, text in PROBES.items():
        ids = own.encode(text, add_special_tokens=False).ids
        others = known(text, add_special_tokens=False)["input_ids"]
        if ids != others:
            found.append(f"{name} ({len(ids)} tokens, not {len(others)})")
    remarks = []
    if found:
        remarks.append(
            f"transformers' {kind} would split some texts otherwise: {', '.join(found)}; "
            "ids are those of tokenizer.json"
        )
    if by_file[1] != leading + by_file[0]:
        remarks.append(f"in front of a text are {leading} as transformers' {kind} has it, not as tokenizer.json alone")
    return remarks
