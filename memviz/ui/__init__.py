"""What pages share. With the entry script, the only modules of memviz that import Streamlit."""

from memviz.ui.drawing import linked_component, split_component
from memviz.ui.links import followed_link, run, selection, take_upload
from memviz.ui.rows import ROW, known_row, prompt_of_row, show_row
from memviz.ui.running import card_of, note, other_runs, result_of, show_passages
from memviz.ui.shared import (
    attend,
    bundled_models,
    default_model,
    escaped,
    guard_settings,
    open_expander,
    refuse,
    samples,
    set_defaults,
    set_style,
    show_state,
    store,
    tokenizer,
    warm_up,
    told,
    within,
    worker,
)
from memviz.ui.training import look_up, show_training

__all__ = [
    "ROW",
    "attend",
    "bundled_models",
    "card_of",
    "default_model",
    "escaped",
    "followed_link",
    "guard_settings",
    "known_row",
    "linked_component",
    "look_up",
    "note",
    "open_expander",
    "other_runs",
    "prompt_of_row",
    "refuse",
    "result_of",
    "run",
    "samples",
    "selection",
    "set_defaults",
    "set_style",
    "show_passages",
    "show_row",
    "show_state",
    "show_training",
    "split_component",
    "store",
    "take_upload",
    "tokenizer",
    "warm_up",
    "within",
    "told",
    "worker",
]
