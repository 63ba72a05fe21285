"""The page that shows the runs below the dashboard's directory."""

import streamlit as st

from fer.app.dashboard import get_dashboard
from fer.app.pages.parts import load_runs, offer_files, show_page, tell_errors
from fer.app.runs import FIGURES, RunEntry, find_run, list_files, read_metrics
from fer.app.texts import escape_markdown
from fer.core.run_layout import REPORT_HTML

PARAMETER = "run"
NO_FIGURE = "\N{EN DASH}"
PROGRAMS = {
    "train": "Training",
    "infer": "Analysis of videos",
    "register": "Registration",
    "annotate": "Labels of faces",
    "export": "Export",
    "": "Run",
}


def show_runs() -> None:
    """Show the page."""
    st.title("Runs")
    outputs = get_dashboard().settings.outputs
    runs = load_runs(outputs)
    if not runs:
        st.info("There is no run yet: train a model, or analyse videos by `infer.py`.")
        return
    _list_runs(runs)
    with tell_errors():
        wanted = st.query_params.get(PARAMETER)
        # The address may name a run, and nothing but a run of the list.
        entry = find_run(runs, wanted) if wanted else runs[0]
        chosen = st.selectbox("Run", runs, index=runs.index(entry), format_func=_format_run)
        if chosen.key != wanted:
            st.query_params[PARAMETER] = chosen.key
        _show_run(chosen)


def _list_runs(runs: list[RunEntry]) -> None:
    with st.expander(f"All runs ({len(runs)})", icon=":material/table:"):
        st.dataframe(
            {
                "run": [entry.key for entry in runs],
                "program": [entry.program for entry in runs],
                "status": [entry.status for entry in runs],
                "start": [entry.start for entry in runs],
                **{title: [_get_percent(entry, name) for entry in runs] for name, title in FIGURES.items()},
            },
            column_config={title: st.column_config.NumberColumn(format="%.1f%%") for title in FIGURES.values()},
            hide_index=True,
            placeholder=NO_FIGURE,
        )


def _get_percent(entry: RunEntry, name: str) -> float | None:
    """A figure in percent; the column's own format of fractions drops zeros at the end."""
    return 100 * entry.figures[name] if name in entry.figures else None


def _format_run(entry: RunEntry) -> str:
    return f"{entry.key} ({entry.status})"


def _show_run(entry: RunEntry) -> None:
    outputs = get_dashboard().settings.outputs
    st.caption(f"{PROGRAMS[entry.program]}, {escape_markdown(entry.status)}, begun {escape_markdown(entry.start)} UTC")
    metrics = read_metrics(entry.directory)
    columns = st.columns(len(FIGURES))
    for column, (name, title) in zip(columns, FIGURES.items(), strict=True):
        if name in metrics:
            value, low, high = metrics[name]
            interval = None if low is None or high is None else f"95 % interval {low:.1%} to {high:.1%}"
            column.metric(f"{title[0].upper()}{title[1:]}", f"{value:.1%}", help=interval)
    if metrics:
        with st.expander("All figures", icon=":material/monitoring:"):
            st.dataframe(
                {
                    "figure": list(metrics),
                    **{
                        title: [figure[index] for figure in metrics.values()]
                        for index, title in enumerate(("value", "lower end", "upper end"))
                    },
                },
                hide_index=True,
                placeholder=NO_FIGURE,
            )
    offer_files(list_files(outputs, entry.directory), "run")
    if entry.has_report:
        show_page(entry.directory / REPORT_HTML, outputs)
    else:
        st.info(f"This run has no report{' yet' if entry.status == 'running' else ''}.")
