"""Frozen records of numpy arrays: what the engine returns and everything above it reads.

Letters: n sequences, k context tokens, m continuation tokens, p positions of one stretch (k or m), l layers, d width,
K kept alternatives. Index j counts tokens of the whole row; position t = j - k counts tokens of the continuation.
A quantity at index j comes from the distribution given the tokens before j; so nothing is known at index 0.
Logarithms are natural; ranks start at 1.
"""

from memviz.records.arrays import from_arrays, to_arrays
from memviz.records.prompts import READINGS, STEPWISE, VERIFIED, Decoding, Piece, Prompts
from memviz.records.states import BEFORE_NORM, Points, States
from memviz.records.traces import N_ALTERNATIVES, UNKNOWN_ID, Hidden, Partial, Run, Scores, Survey, Target, Trace

__all__ = [
    "BEFORE_NORM",
    "N_ALTERNATIVES",
    "READINGS",
    "STEPWISE",
    "UNKNOWN_ID",
    "VERIFIED",
    "Decoding",
    "Hidden",
    "Partial",
    "Piece",
    "Points",
    "Prompts",
    "Run",
    "Scores",
    "States",
    "Survey",
    "Target",
    "Trace",
    "from_arrays",
    "to_arrays",
]
