"""LoRA adapters in PEFT's layout: vetted by what they may say, and merged in float32 onto their base."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from transformers import PreTrainedModel

from memviz.engine.vetting import check_files
from memviz.errors import InputError
from memviz.weights import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_json, tensors_of

_USED = {
    "r": lambda value: type(value) is int and 0 < value <= 4096,
    "lora_alpha": lambda value: type(value) in (int, float) and abs(value) < 1e6,
    "use_rslora": lambda value: type(value) is bool,
    "use_dora": lambda value: type(value) is bool,
    "fan_in_fan_out": lambda value: type(value) is bool,
    "rank_pattern": lambda value: _is_pattern(value),
    "alpha_pattern": lambda value: _is_pattern(value),
    "modules_to_save": lambda value: value is None or _is_names(value),
}
"""What is handed to PEFT, and whether a value can be."""
_IGNORED = {
    "base_model_name_or_path", "revision", "inference_mode", "lora_dropout", "peft_version", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "qalora_group_size", "runtime_config",
}  # fmt: skip
"""What decides no number here: which modules are changed is told by the weights themselves."""
_ONLY = {
    "peft_type": ("LORA",),
    "task_type": (None, "CAUSAL_LM"),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian"),
    "megatron_core": (None, "megatron.core"),
}
_PREFIX = "base_model.model."
_PART = re.compile(r"^(?P<module>.+)\.lora_(A|B|embedding_A|embedding_B|magnitude_vector)(\.weight)?$")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) and re.fullmatch(r"[\w.]{1,200}", name) for name in value
    )


def _is_pattern(value: Any) -> bool:
    return isinstance(value, dict) and _is_names(list(value)) and all(type(n) in (int, float) for n in value.values())


def vet_adapter(folder: Path) -> dict[str, Any]:
    """The settings of an adapter that PEFT is given. Raises InputError for a key or value beyond the allowed ones."""
    check_files(folder)
    said = read_json(folder / ADAPTER_CONFIG)
    for key, value in said.items():
        allowed = (
            key in _IGNORED
            or (key in _ONLY and any(value is one or (value == one and type(value) is type(one)) for one in _ONLY[key]))
            or (key in _USED and _USED[key](value))
            or (key not in _ONLY and key not in _USED and (value is None or value is False or value in ({}, [], "")))
        )
        if not allowed:
            raise InputError(
                f"{folder / ADAPTER_CONFIG} asks for {key[:100]} = {value!r:.100}, which memviz does not read: merge "
                "the adapter with PEFT (merge_and_unload) and save the whole model"
            )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise InputError(
            f"{folder} holds an adapter without {ADAPTER_WEIGHTS}: save it as safetensors, other formats can run code"
        )
    tensors_of(folder / ADAPTER_WEIGHTS)
    return {key: said[key] for key in _USED if key in said}


def merge(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model in float32 with an adapter's weights added. Raises InputError where the two do not fit each other."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict  # seconds, for adapters alone

    settings = vet_adapter(folder)
    weights = load_file(folder / ADAPTER_WEIGHTS)
    parts = [_PART.match(name.removeprefix(_PREFIX)) for name in weights]
    targets = sorted({part["module"] for part in parts if part})
    modules = dict(model.named_modules())
    unknown = next((name for name in targets if name not in modules), None)
    if unknown is not None or not targets:
        what = f"changes {unknown}, which its base does not have" if targets else "holds no LoRA weights"
        raise InputError(f"{folder / ADAPTER_WEIGHTS} {what}: was it made for another model?")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice for who trains
        config = LoraConfig(target_modules=targets, inference_mode=True, **settings)
        wrapped = get_peft_model(model, config)
        try:
            result: Any = set_peft_model_state_dict(wrapped, weights)
        except RuntimeError as error:  # whose first line says nothing
            told = str(error).strip().splitlines()[-1].strip()[:300]
            raise InputError(
                f"{folder / ADAPTER_WEIGHTS} fits neither its settings nor its base ({told}): was it made for another "
                "model?"
            ) from None
        lacking = [name for name in result.missing_keys if "lora_" in name or "modules_to_save" in name]
        if lacking or result.unexpected_keys:
            name = (lacking or result.unexpected_keys)[0]
            raise InputError(
                f"{folder / ADAPTER_WEIGHTS} {'lacks' if lacking else 'holds more than its settings say:'} {name}: "
                "copy the adapter again"
            )
        return wrapped.merge_and_unload(safe_merge=True)
