"""Parts that several pages show: errors, progress of a job, a page of a run, files to take along, lists."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from fer.app.dashboard import get_dashboard
from fer.app.embedding import MAX_MEDIA_BYTES, build_frame, embed_media, read_page
from fer.app.jobs import Job
from fer.app.runs import RunEntry, list_runs
from fer.app.texts import escape_markdown
from fer.app.versions import list_registered
from fer.app.workspaces import Workspace
from fer.core.places import hide_places
from fer.errors import UserError
from fer.registry.base import ModelVersion

REFRESH_S = 1.0
FRAME_HEIGHT = 900
# Seconds for which a list is kept: every click on a page runs it anew.
LISTED_FOR_S = 5.0


def get_workspace() -> Workspace:
    """The workspace of the visit that looks at the page."""
    context = get_script_run_ctx()
    assert context is not None
    return get_dashboard().workspaces.open(context.session_id)


@contextmanager
def tell_errors() -> Iterator[None]:
    """Show an error that the visitor or the server's owner can mend as one sentence."""
    try:
        yield
    except UserError as error:
        st.error(escape_markdown(hide_places(str(error))))


@st.cache_data(ttl=LISTED_FOR_S, show_spinner=False)
def load_runs(outputs: Path) -> list[RunEntry]:
    """The runs below a directory, the latest first."""
    return list_runs(outputs)


@st.cache_data(ttl=LISTED_FOR_S, show_spinner="Reading the registry")
def load_versions(store: Path) -> list[ModelVersion]:
    """The versions in a registry. Raises UserError."""
    return list_registered(store)


@st.fragment(run_every=REFRESH_S)
def show_progress(job: Job, key: str) -> None:
    """Show how far a job is, with a button that cancels it; the whole page is shown anew once it is over."""
    if job.is_over:
        st.rerun()
    queue = get_dashboard().queue
    # Asked once: it may begin at any moment.
    if place := queue.get_place(job):
        st.progress(0.0, f"Waiting: place {place} in the queue")
    elif job.progress is None:
        st.progress(0.0, "Starting, which takes some seconds")
    elif job.progress.done < job.progress.total:
        progress = job.progress
        left = f", about {progress.seconds_left} s left" if progress.done else ""
        st.progress(progress.share, f"{progress.title}: {progress.done} of {progress.total} {progress.unit}{left}")
    else:
        st.progress(1.0, "Writing tables and page")
    if st.button("Cancel", key=key, icon=":material/stop_circle:"):
        queue.cancel(job)
        st.rerun()


def show_page(path: Path, root: Path, media: Mapping[str, Path] | None = None) -> None:
    """Show a page of a run, which must lie below a directory; with ``media`` see ``embed_media``."""
    with tell_errors():
        page = embed_media(read_page(path, root), media or {})
        if any(f'src="{address}"' in page for address in media or ()):
            st.caption(
                f"Clips of more than {MAX_MEDIA_BYTES >> 20} MB together, and those that no browser plays, do not play "
                "in the report; its curves work without them."
            )
        st.iframe(build_frame(page), height=FRAME_HEIGHT, alt="Page of a run")


def offer_files(files: Mapping[str, Path], key: str) -> None:
    """Offer files of a run to be taken along; each is read when it is asked for."""
    if not files:
        return
    with st.expander(f"Download tables and pages ({len(files)})", icon=":material/download:"):
        for name, path in files.items():
            place = f"{key}-{name}"
            st.download_button(name, path.read_bytes, path.name, key=place, on_click="ignore", type="tertiary")
