"""What pages share. With the entry script, the only modules of memviz that import Streamlit."""

from memviz.ui.common.clicks import clicked, offer, pressed
from memviz.ui.common.doors import PAGES
from memviz.ui.common.every_page import name_tab_after
from memviz.ui.common.models import card_of
from memviz.ui.common.process import bundled_models, store, tokenizer, worker
from memviz.ui.common.runs import note, result_of, run
from memviz.ui.common.texts import escaped, told
from memviz.ui.common.widgets import draw_so_far, open_expander, refuse

__all__ = [
    "PAGES",
    "bundled_models",
    "card_of",
    "clicked",
    "draw_so_far",
    "escaped",
    "name_tab_after",
    "note",
    "offer",
    "open_expander",
    "pressed",
    "refuse",
    "result_of",
    "run",
    "store",
    "tokenizer",
    "told",
    "worker",
]
