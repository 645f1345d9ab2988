"""What pages share. With the entry script, the only modules of memviz that import Streamlit."""

from memviz.ui.drawing import linked_component, split_component
from memviz.ui.links import followed_link, run, selection, take_upload
from memviz.ui.running import card_of, note, result_of, show_passages
from memviz.ui.shared import (
    DEFAULT_MODEL,
    attend,
    guard_settings,
    open_expander,
    refuse,
    set_defaults,
    set_style,
    show_state,
    store,
    tokenizer,
    warm_up,
    worker,
)

__all__ = [
    "DEFAULT_MODEL",
    "attend",
    "card_of",
    "followed_link",
    "guard_settings",
    "linked_component",
    "note",
    "open_expander",
    "refuse",
    "result_of",
    "run",
    "selection",
    "set_defaults",
    "set_style",
    "show_passages",
    "show_state",
    "split_component",
    "store",
    "take_upload",
    "tokenizer",
    "warm_up",
    "worker",
]
