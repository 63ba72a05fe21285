"""The frame around all pages."""

import streamlit as st

from fer.app.pages.analyse import show_analysis
from fer.app.pages.compare import show_comparison
from fer.app.pages.parts import tell_errors
from fer.app.pages.registry import show_registry
from fer.app.pages.runs import show_runs
from fer.app.pages.studies import show_studies


def show_dashboard() -> None:
    """Show the page that the address names, below the list of pages."""
    # No icons here: that of a page would also be the tab's, and fetched from the network.
    st.set_page_config("Facial expressions", layout="wide")
    pages = [
        st.Page(show_analysis, title="Analyse", default=True),
        st.Page(show_runs, title="Runs", url_path="runs"),
        st.Page(show_comparison, title="Compare", url_path="compare"),
        st.Page(show_studies, title="Studies", url_path="studies"),
        st.Page(show_registry, title="Registry", url_path="registry"),
    ]
    page = st.navigation(pages, position="top")
    with tell_errors():
        page.run()
