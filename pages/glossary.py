"""What do the words and measures of these pages mean?"""

import streamlit as st

from memviz import ui
from memviz.measures import MEASURES
from memviz.measures.glossary import GLOSSARY

st.title("Glossary")
st.markdown(
    "What do the words and measures of these pages mean? The help texts behind each question mark are read from here, "
    "and measures from the functions that compute them. Logarithms are natural."
)
sought = st.text_input("Find", placeholder="a word, a unit, an author", key="find", bind="query-params", width=360)
SIGNS = "M, k and m"
FIRST = {"M": "memorization_score", "k": "context", "m": "continuation"}
known = GLOSSARY | MEASURES
entries = [
    (SIGNS, f"{sign}: {known[n].label}", known[n].help, known[n].unit, known[n].source) for sign, n in FIRST.items()
]
entries += [(term.topic, term.label, term.help, term.unit, term.source) for term in GLOSSARY.values()]
entries += [("Measures of one prompt", m.label, m.help, m.unit, m.source) for m in MEASURES.values()]
found = [entry for entry in entries if (sought or "").casefold() in " ".join(entry).casefold()]
if not found:
    st.info(f"Nothing is said of “{ui.escaped(sought or '')}”: try a shorter word.")
for topic in dict.fromkeys(entry[0] for entry in found):
    st.subheader(topic, anchor=topic.lower().replace(" ", "-"))
    lines = [
        {"word": f"**{ui.escaped(label)}**", "meaning": ui.escaped(about), "unit": unit, "source": ui.escaped(source)}
        for of, label, about, unit, source in sorted(found, key=lambda e: e[1].casefold() if e[0] != SIGNS else "")
        if of == topic
    ]
    with st.container(key=f"glossary-{topic}"):
        st.table(lines, border="horizontal", hide_index=True)
