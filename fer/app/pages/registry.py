"""The page that shows the registry of this machine."""

import streamlit as st

from fer.app.dashboard import get_dashboard
from fer.app.pages.parts import load_versions, tell_errors
from fer.app.texts import disarm_card, escape_markdown
from fer.app.versions import read_card
from fer.registry.base import SHOWN_METRICS, ModelVersion


def show_registry() -> None:
    """Show the page."""
    st.title("Registry")
    store = get_dashboard().settings.registry
    with tell_errors():
        versions = load_versions(store)
        if not versions:
            st.info("No model is registered yet; `register.py` does it.")
            return
        _list_versions(versions)
        chosen = st.selectbox("Version", versions, format_func=_format_version)
        if chosen.reasons:
            st.caption(escape_markdown(chosen.reasons))
        with st.container(border=True):
            st.markdown(disarm_card(read_card(chosen, store)))


def _list_versions(versions: list[ModelVersion]) -> None:
    st.dataframe(
        {
            "model": [version.name for version in versions],
            "version": [version.version for version in versions],
            "status": [version.status for version in versions],
            "in use as": [", ".join(version.aliases) for version in versions],
            **{name.replace("_", " "): [version.metrics.get(name) for version in versions] for name in SHOWN_METRICS},
            "registered": [version.created for version in versions],
        },
        column_config={
            name.replace("_", " "): st.column_config.NumberColumn(format="percent") for name in SHOWN_METRICS
        },
        hide_index=True,
    )


def _format_version(version: ModelVersion) -> str:
    names = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return f"{version.name}, version {version.version}{names}"
