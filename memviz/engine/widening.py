"""Matrix products of half precision on processors that have none: taken in float32, rounded as such a product is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WIDE = 24
"""Tokens from which on widening a weight costs less than it saves."""
_PRODUCTS = (torch.ops.aten.linear.default, torch.ops.aten.addmm.default, torch.ops.aten.mm.default)


class Widened(TorchDispatchMode):
    """Products of two-byte matrices are sums in float32, rounded once: what torch's own loop gives, five times as fast.

    Both are the exact product, rounded, but for about 2 of 10,000 values, where the order of a sum decides.
    """

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _PRODUCTS and args[0].element_size() == 2:
            return func(*(None if each is None else each.float() for each in args), **(kwargs or {})).to(args[0].dtype)
        return func(*args, **(kwargs or {}))


def needs_widening(dtype: str, device: torch.device) -> bool:
    """Whether torch multiplies matrices of a precision by a plain loop there."""
    if device.type != "cpu" or dtype == "float32":
        return False
    told = {"bfloat16": "_is_mkldnn_bf16_supported", "float16": "_is_mkldnn_fp16_supported"}[dtype]
    return not getattr(torch.ops.mkldnn, told)()


def widened(needed: bool, n_tokens: int) -> AbstractContextManager[Any]:
    """Where it is needed, and so many tokens are read that it helps."""
    return Widened() if needed and n_tokens >= WIDE else nullcontext()
