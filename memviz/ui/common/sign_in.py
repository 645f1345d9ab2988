"""Signing in, where the operator's secrets.toml asks for it (docs/sharing.md); without one there is nothing of it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def is_wanted() -> bool:
    """Whether visitors must sign in. A secrets file that cannot be read wants it too: nobody passes by its fault."""
    if st.secrets.load_if_toml_exists():
        return "auth" in st.secrets
    return any(Path(path).exists() for path in st.get_option("secrets.files"))


def guard_sign_in() -> None:
    """Show a stranger the way to sign in and stop there; a visitor who has signed in gets the way out."""
    if not is_wanted():
        return
    if not st.secrets.load_if_toml_exists():
        st.error("The server's secrets.toml cannot be read, so nobody can sign in: its operator has to mend it.")
        st.stop()
    if not st.user.get("is_logged_in"):
        st.title("memviz")
        st.markdown("This server is for those who sign in.")
        if st.button("Sign in", type="primary", icon=":material/login:"):
            st.login()
        st.stop()
    with st.sidebar:
        if st.button("Sign out", icon=":material/logout:", help=str(st.user.get("email") or "")):
            st.logout()
