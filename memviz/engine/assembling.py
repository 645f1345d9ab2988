"""From a vetted folder to a whole model: names as a wrapper changed them, no array lacking, left over or resized."""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from memviz.errors import InputError
from memviz.weights import ADAPTER_CONFIG, count_parameters, read_tensors

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch.compile, sharding and checkpointing write into names, anywhere in them."""
_NO_WEIGHTS = re.compile(r"(^|\.)(inv_freq|masked_bias|position_ids|token_type_ids|attn\.bias|attention\.bias)$")
"""Buffers that older versions of transformers saved and newer ones compute; biases of attention are longer names."""
_CLASSIFIERS = re.compile(r"(^|\.)(score|classifier|classification_head|qa_outputs|v_head|reward_head|value_head)\.")


def assemble(folder: Path, dtype: torch.dtype, places: Mapping[int, int] | None = None) -> PreTrainedModel:
    """The model of a vetted folder. Raises InputError where weights and configuration do not fit each other.

    places: GPU -> bytes that it may take there, where it is to be split.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    outline = _outline(folder, config)
    _check_size(folder, outline)
    names = read_tensors(folder)
    options: dict[str, Any] = {
        "config": config,
        "dtype": dtype,
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # they are told below, in one sentence
        "key_mapping": renaming(names, outline.state_dict()),
    }
    if places:
        options |= {"device_map": "sequential", "max_memory": dict(places)}
    with _without_adapter(folder) as place:
        try:
            model, info = AutoModelForCausalLM.from_pretrained(place, attn_implementation="sdpa", **options)
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
            model, info = AutoModelForCausalLM.from_pretrained(place, attn_implementation="eager", **options)
    _check_fit(folder, outline, info)
    return model


def _outline(folder: Path, config: PretrainedConfig) -> PreTrainedModel:
    """The model without memory. Raises InputError for a type that transformers has as no causal language model."""
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager")
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        raise InputError(
            f"{folder} has model_type {config.model_type!r:.100}, which is no causal language model in transformers; "
            "memviz reads causal ones alone"
        ) from None


@contextmanager
def _without_adapter(folder: Path) -> Iterator[Path]:
    """The folder, or links to its files where an adapter lies beside them, which transformers would add unasked."""
    if not (folder / ADAPTER_CONFIG).exists():
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="memviz-") as links:
        for file in folder.iterdir():
            if file.is_file() and not file.name.startswith("adapter_"):
                Path(links, file.name).symlink_to(file.resolve())
        yield Path(links)


def _check_size(folder: Path, outline: PreTrainedModel) -> None:
    """Raise InputError where a configuration describes far more than the weights hold: lacking ones would be made."""
    n_weights = count_parameters(folder)
    n_described = sum(parameter.numel() for parameter in outline.parameters())
    if n_described > 2 * n_weights:
        raise InputError(
            f"{folder / 'config.json'} describes {n_described:,} parameters, the weights are {n_weights:,}: "
            "fetch or copy the model again"
        )


def renaming(names: Iterable[str], expected: Iterable[str]) -> dict[str, str] | None:
    """Patterns and what they become, so that names of a compiled or wrapped model are those of the model itself."""
    names, expected = set(names), set(expected)
    found: dict[str, str] = {}
    for word in _WRAPPERS:
        pattern = re.escape(word)
        for _ in range(max((name.count(word) for name in names), default=0)):
            found[pattern] = ""  # one pattern takes a word away once
            pattern = f"(?:{pattern})"
    for word in _WRAPPERS:
        names = {name.replace(word, "") for name in names}
    parts = [name.split(".") for name in names]
    leading = [".".join(parts[0][:n]) + "." for n in (1, 2, 3)] if parts and not names & expected else []
    for prefix in leading:
        if all(name.startswith(prefix) for name in names) and {name.removeprefix(prefix) for name in names} & expected:
            return found | {"^" + re.escape(prefix): ""}
    return found or None


def _check_fit(folder: Path, outline: PreTrainedModel, info: dict[str, Any]) -> None:
    """Raise InputError for weights that are lacking, left over or of other shapes; transformers would go on."""
    resized = sorted(info["mismatched_keys"], key=str)
    if resized:
        name, found, said = resized[0]
        raise InputError(f"{folder}: {_resized(str(name), tuple(found), tuple(said), outline.config)}")
    lacking = sorted(info["missing_keys"])
    unused = sorted(name for name in info["unexpected_keys"] if not _NO_WEIGHTS.search(name))
    unmerged = next((name for name in unused if ".lora_A." in name), None)
    if unmerged is not None:
        raise InputError(
            f"{folder} holds an adapter inside the weights that was not merged ({unmerged}): merge it with PEFT "
            "(merge_and_unload) and save the model, or save the adapter alone (save_pretrained)"
        )
    layer = next((name for name in unused if _CLASSIFIERS.search(name)), None)
    if layer is not None and len(unused) <= 4:
        raise InputError(
            f"{folder} holds a classifier ({layer}), no language model: take the model that it was made from"
        )
    if lacking and lacking == sorted(_output_layer(outline) & set(lacking)):
        raise InputError(
            f"{folder} holds a model without its output layer ({lacking[0]}), which turns states into tokens: "
            "save it again as AutoModelForCausalLM"
        )
    if lacking or unused:
        parts = [f"lacks {len(lacking):,} of the weights of its configuration, such as {lacking[0]}"] if lacking else []
        if unused:
            parts.append(f"holds {len(unused):,} arrays that its configuration does not use, such as {unused[0]}")
        raise InputError(f"{folder} {' and '.join(parts)}: fetch or copy the model again, config.json with its weights")


def _output_layer(outline: PreTrainedModel) -> set[str]:
    """Names of the parameters of the layer that gives logits."""
    head = outline.get_output_embeddings()
    mine = set() if head is None else {id(parameter) for parameter in head.parameters()}
    return {name for name, parameter in outline.named_parameters() if id(parameter) in mine}


def _resized(name: str, found: tuple[int, ...], said: tuple[int, ...], config: PretrainedConfig) -> str:
    """One sentence on an array whose shape is not the configuration's."""
    if found[1:] == said[1:] and found and said[0] == getattr(config.get_text_config(), "vocab_size", None):
        return (
            f"{name} has {found[0]:,} rows in the weights and {said[0]:,} in config.json: "
            f"set vocab_size to {found[0]} there, or save model and configuration together"
        )
    shapes = " and ".join(
        f"{' x '.join(map(str, shape))} in {where}" for shape, where in ((found, "the weights"), (said, "config.json"))
    )
    return f"{name} is {shapes}: take the configuration that was saved with the weights"
