"""The page that compares chosen trainings."""

import streamlit as st

from fer.app.comparison import describe_problem, start_comparison
from fer.app.dashboard import get_dashboard
from fer.app.pages.parts import get_workspace, load_runs, offer_files, show_page, show_progress
from fer.app.runs import is_comparable, list_files, list_sweeps
from fer.app.texts import escape_markdown
from fer.app.workspaces import Workspace


def show_comparison() -> None:
    """Show the page."""
    st.title("Compare trainings")
    dashboard, workspace = get_dashboard(), get_workspace()
    runs = load_runs(dashboard.settings.outputs)
    sweeps = list_sweeps(dashboard.settings.outputs, runs)
    places = {f"{key} (all runs of the sweep)": directory for key, directory in sweeps.items()}
    places |= {entry.key: entry.directory for entry in runs if is_comparable(entry)}
    if not places:
        st.info("There is no finished training yet.")
        return
    is_busy = workspace.comparison is not None and not workspace.comparison.job.is_over
    # Beside the list: below it the open list would cover the button.
    left, right = st.columns([6, 1], vertical_alignment="bottom")
    keys = left.multiselect("Trainings and sweeps", list(places), disabled=is_busy)
    if right.button("Compare", type="primary", disabled=is_busy or not keys, icon=":material/compare_arrows:"):
        folder = workspace.make_folder("comparison")
        workspace.comparison = start_comparison(dashboard.queue, [places[key] for key in keys], folder, keys)
        st.rerun()
    if is_busy:
        assert workspace.comparison is not None
        show_progress(workspace.comparison.job, "cancel-comparison")
    elif workspace.comparison is not None:
        _show_result(workspace)


def _show_result(workspace: Workspace) -> None:
    comparison = workspace.comparison
    assert comparison is not None
    problem = describe_problem(comparison)
    if problem is not None:
        st.error(escape_markdown(problem))
        return
    st.caption(escape_markdown(", ".join(comparison.keys)))
    offer_files(list_files(workspace.directory, comparison.directory), "comparison")
    show_page(comparison.page, workspace.directory)
