"""The frame around all pages."""

import streamlit as st

from fer.app.pages.analyse import show_analysis
from fer.app.pages.compare import show_comparison
from fer.app.pages.registry import show_registry
from fer.app.pages.runs import show_runs
from fer.app.pages.studies import show_studies


def show_dashboard() -> None:
    """Show the page that the address names, below the list of pages."""
    st.set_page_config("Facial expressions", page_icon=":material/mood:", layout="wide")
    pages = [
        st.Page(show_analysis, title="Analyse", icon=":material/movie:", url_path="analyse", default=True),
        st.Page(show_runs, title="Runs", icon=":material/folder_open:", url_path="runs"),
        st.Page(show_comparison, title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page(show_studies, title="Studies", icon=":material/groups:", url_path="studies"),
        st.Page(show_registry, title="Registry", icon=":material/inventory_2:", url_path="registry"),
    ]
    st.navigation(pages, position="top").run()
