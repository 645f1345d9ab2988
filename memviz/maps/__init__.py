"""Maps of hidden states, honest numbers about them, and how they move while a model decodes.

A point is a *reading* state: of step t the state after reading continuation token t, of step -1 after the last context
token. Free-running unless a scope says otherwise. Each task is a `memviz.jobs.Question`.

    scope = Scope(str(sweep.folder), n_rows=1000)               # which texts of a sweep
    task = MapTask("suite-7.6m", scope, reducer="umap")         # 8 steps in one fixed frame
    key, found, _ = task.run(backend, store, report, say)       # or Worker.ask(task, session)
    stored_map(store, map_key(task, sweep, device_kind))        # without a model
    table_of(found, sweep)                                      # one line a point, to colour and to export
    place(found, states); trajectory(found, trace.hidden)       # new points; the map stays as it is
    register(other, found).apply(other.xy)                      # one frame for two sizes, with its residual
    SimilarityTask(("suite-0.3m", "suite-7.6m"), scope)         # CKA, neighbours, similarity, with nulls
    DynamicsTask("suite-7.6m", scope)                           # cosine and distance step by step
    dynamics_table(found)                                       # the same as one long table
"""

from memviz.maps.comparing import place, register, shared, trajectory
from memviz.maps.dynamics import (
    DynamicsTask,
    dynamics_key,
    dynamics_table,
    dynamics_task_from,
    stored_dynamics,
)
from memviz.maps.gathering import last_layer, loops
from memviz.maps.records import (
    GROUPS,
    LAST_CONTEXT,
    MEASURES,
    NO_GROUPS,
    PAIRS,
    STATES,
    VARIANTS,
    Agreement,
    Dynamics,
    EmbeddingMap,
    Separation,
    Silhouettes,
    Similarity,
)
from memviz.maps.scope import Scope
from memviz.maps.similarity import SimilarityTask, similarity_key, similarity_task_from, stored_similarity
from memviz.maps.table import COLUMNS, figures_of, table_of
from memviz.maps.task import MOST_POINTS, N_POINTS, REDUCERS, MapTask, map_key, map_task_from, spread_steps, stored_map

__all__ = [
    "COLUMNS",
    "GROUPS",
    "LAST_CONTEXT",
    "MEASURES",
    "MOST_POINTS",
    "NO_GROUPS",
    "N_POINTS",
    "PAIRS",
    "REDUCERS",
    "STATES",
    "VARIANTS",
    "Agreement",
    "Dynamics",
    "DynamicsTask",
    "EmbeddingMap",
    "MapTask",
    "Scope",
    "Separation",
    "Silhouettes",
    "Similarity",
    "SimilarityTask",
    "dynamics_key",
    "dynamics_table",
    "dynamics_task_from",
    "figures_of",
    "last_layer",
    "loops",
    "map_key",
    "map_task_from",
    "place",
    "register",
    "shared",
    "similarity_key",
    "similarity_task_from",
    "spread_steps",
    "stored_dynamics",
    "stored_map",
    "stored_similarity",
    "table_of",
    "trajectory",
]
