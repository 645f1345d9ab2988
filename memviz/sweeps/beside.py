"""What a sweep keeps beside the hits: agreement that a shift does not break, and statistics of membership."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from memviz.measures.likelihood import MIN_K_PERCENT, mean_of_lowest, standardised, zlib_bytes
from memviz.measures.similarity import bleus, common_runs, edit_distances
from memviz.records import Survey

Column = tuple[pa.DataType, str]
"""Type of a table's column, and what it is."""
ToBytes = Callable[[np.ndarray], bytes]
"""The UTF-8 bytes of a row of ids, as the tokenizer has them."""


def beside_columns(m: int) -> dict[str, Column]:
    """Name, without its size m, -> column."""
    lowest = f"the least likely {MIN_K_PERCENT} % of the first {m} true tokens, teacher-forced; null where m < {m}"
    return {
        "common_run": (
            pa.int32(),
            f"tokens, the longest run that the first {m} generated and the first {m} true tokens have in common, "
            f"wherever it lies; null where m < {m}",
        ),
        "edit_distance": (
            pa.int32(),
            f"tokens to be put in, taken out or exchanged between the same (Levenshtein); null where m < {m}",
        ),
        "bleu": (pa.float32(), f"0 to 1, BLEU-4 of the same, without smoothing; null where m < {m}, or m < 4"),
        "min_k": (pa.float32(), f"nats, mean log-probability of {lowest}"),
        "min_k_plus_plus": (
            pa.float32(),
            f"z-score, mean standardised log-probability of {lowest}, or its batch is of before second moments",
        ),
        "zlib_bytes": (pa.int32(), f"bytes of the text of the first {m} true tokens after zlib; null where m < {m}"),
    }


def beside_scores(survey: Survey, truth: np.ndarray, lengths: Sequence[int], to_bytes: ToBytes) -> dict[str, Any]:
    """The columns of n rows with (n, M) truth, for each size of at most M."""
    logprob, squares = survey.teacher_forced_logprob, survey.teacher_forced_second_moment
    z = None if squares is None else standardised(logprob, survey.teacher_forced_entropy, squares)
    runs, found = common_runs(survey.generated_ids, truth), dict[str, Any]()
    likeness = bleus(survey.generated_ids, truth, lengths)
    for place, m in enumerate(lengths):
        own, true = survey.generated_ids[:, :m], truth[:, :m]
        values = {
            "common_run": runs[:, m - 1],
            "edit_distance": edit_distances(own, true),
            "bleu": pa.array(likeness[:, place], from_pandas=True),
            "min_k": mean_of_lowest(logprob[:, :m]),
            "min_k_plus_plus": pa.nulls(len(truth)) if z is None else mean_of_lowest(z[:, :m]),
            "zlib_bytes": np.array([zlib_bytes(to_bytes(ids)) for ids in true], np.int32),
        }
        found |= {f"{name}_{m}": value for name, value in values.items()}
    return found
