"""Maps of hidden states, honest numbers about them, and how they move while a model decodes.

A point is a *reading* state: of step t the state after reading continuation token t, of step -1 after the last context
token. Free-running unless a scope says otherwise. Each is a `memviz.tasks.base.Task`.

    scope = Scope(str(sweep.folder), n_rows=1000)               # which texts of a sweep
    task = MapTask("suite-7.6m", scope, reducer="umap")         # 8 steps in one fixed frame
    key, found, _ = answer(task, context)                       # or Worker.ask(task, session)
    stored(task, context)                                       # without a model
    table_of(found, sweep)                                      # one line a point, to colour and to export
    place(found, states); trajectory(found, trace.hidden)       # new points; the map stays as it is
    register(other, found).apply(other.xy)                      # one frame for two sizes, with its residual
    SimilarityTask(("suite-0.3m", "suite-7.6m"), scope)         # CKA, neighbours, similarity, with nulls
    DynamicsTask("suite-7.6m", scope)                           # cosine and distance step by step
    dynamics_table(found)                                       # the same as one long table
    PairedTask((model, checkpoint), scope)                      # the same rows before they were read
"""

from memviz.maps.comparing import place, register, shared, trajectory
from memviz.maps.dynamics import DynamicsTask, dynamics_table
from memviz.maps.gathering import last_layer, loops
from memviz.maps.paired import PairedTask, paired_numbers, paired_tables
from memviz.maps.records import (
    GROUPS,
    MEASURES,
    NO_GROUPS,
    PAIRS,
    STATES,
    VARIANTS,
    Dynamics,
    EmbeddingMap,
    PairedStates,
    PlacedPoints,
    Similarity,
)
from memviz.maps.scope import Scope
from memviz.maps.similarity import SimilarityTask
from memviz.maps.table import COLUMNS, figures_of, table_of
from memviz.maps.task import MOST_POINTS, N_POINTS, MapTask, spread_steps

__all__ = [
    "COLUMNS",
    "GROUPS",
    "MEASURES",
    "MOST_POINTS",
    "NO_GROUPS",
    "N_POINTS",
    "PAIRS",
    "STATES",
    "VARIANTS",
    "Dynamics",
    "DynamicsTask",
    "EmbeddingMap",
    "MapTask",
    "PairedStates",
    "PairedTask",
    "PlacedPoints",
    "Scope",
    "Similarity",
    "SimilarityTask",
    "dynamics_table",
    "figures_of",
    "last_layer",
    "loops",
    "paired_numbers",
    "paired_tables",
    "place",
    "register",
    "shared",
    "spread_steps",
    "table_of",
    "trajectory",
]
