"""Products of half precision, widened where a processor has none of its own: the exact ones, rounded."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from memviz.engine.widening import WIDE, Widened, needs_widening, widened

HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALVES)
@torch.inference_mode()
def test_products_are_the_exact_ones_rounded(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(shape).to(dtype) for shape in ((64, 256), (96, 256), (96,)))
    exact = (x.double() @ weight.double().T + bias.double()).to(dtype)
    with Widened():
        found = [linear(x, weight, bias), torch.addmm(bias, x, weight.T)]
        bare = [linear(x, weight), torch.mm(x, weight.T)]
    for each in found:
        assert each.dtype == dtype and (each != exact).float().mean() < 0.01
        torch.testing.assert_close(each, exact)
    for each in bare:
        torch.testing.assert_close(each, (x.double() @ weight.double().T).to(dtype))


@torch.inference_mode()
def test_float32_is_left_alone() -> None:
    x, weight = torch.randn(32, 16), torch.randn(8, 16)
    plain = linear(x, weight)
    with Widened():
        assert torch.equal(linear(x, weight), plain)
    assert not needs_widening("float32", torch.device("cpu")) and not needs_widening("bfloat16", torch.device("cuda"))


def test_it_is_taken_where_it_is_needed_and_helps() -> None:
    asked = [(True, WIDE), (True, WIDE - 1), (False, WIDE)]
    assert [isinstance(widened(*each), Widened) for each in asked] == [True, False, False]
