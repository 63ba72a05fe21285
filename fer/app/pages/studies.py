"""The page that shows what studies have found."""

import streamlit as st

from fer.app.dashboard import get_dashboard
from fer.app.pages.parts import load_runs, offer_files, show_page
from fer.app.runs import list_files
from fer.core.run_layout import STUDY_HTML


def show_studies() -> None:
    """Show the page."""
    st.title("Studies")
    outputs = get_dashboard().settings.outputs
    studies = [entry for entry in load_runs(outputs) if entry.has_study]
    if not studies:
        st.info("There is no study yet: `infer.py` makes one with `extraction.study`.")
        return
    chosen = st.selectbox("Study", studies, format_func=lambda entry: entry.key)
    offer_files(list_files(outputs, chosen.directory), "study")
    show_page(chosen.directory / STUDY_HTML, outputs)
