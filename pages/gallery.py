"""What is there to see? Examples that open at once, and a walk through the study's findings."""

import streamlit as st

from memviz import ui
from memviz.gallery import examples
from memviz.ui.gallery.cards import show_cards, show_unseen, show_walk
from memviz.ui.gallery.own import show_own

WALK, ALL, OWN = "The four findings", "All examples", "Your tour"

st.title("Gallery")
if not examples():
    st.info("The gallery is not part of this copy of memviz: `python scripts/ship_gallery.py` makes it.")
    st.page_link(ui.PAGES / "trace.py", label="Trace a prompt instead", icon=":material/timeline:")
    st.stop()
shown = st.segmented_control("Shown", [WALK, ALL, OWN], default=WALK, required=True, key="shown", bind="query-params")
if shown != OWN:
    st.markdown("What is there to see? Everything here opens from results that come with memviz: no model is run.")
if shown == WALK:
    show_walk()
elif shown == ALL:
    show_cards(examples())
else:
    show_own()
ui.draw_so_far("gallery")
show_unseen()
