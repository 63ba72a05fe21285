"""The page that analyses a visitor's clips and pictures."""

import os

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from fer.app.analysis import DETECTORS, FACES, FRAMES, Choices, describe_outcome, start_analysis
from fer.app.dashboard import get_dashboard
from fer.app.models import ModelChoice, list_models
from fer.app.pages.parts import (
    get_workspace,
    load_runs,
    load_versions,
    offer_files,
    show_page,
    show_progress,
    tell_errors,
)
from fer.app.runs import list_files
from fer.app.texts import escape_markdown, format_size
from fer.app.uploads import store_upload
from fer.app.workspaces import GONE_AFTER_S, Workspace
from fer.errors import UserError
from fer.registry.base import ModelVersion

FILES, CAMERA = "Files", "Camera"
# How often something was taken over: the widget of the next one is a new one, and Streamlit lets go of the old content.
ROUND, REFUSED = "uploads taken", "uploads refused"


def show_analysis() -> None:
    """Show the page."""
    st.title("Analyse clips and pictures")
    st.caption(
        "Files and results stay on this server, in a directory of this visit, and are deleted "
        f"{GONE_AFTER_S // 60} minutes after the tab is closed. The figures are estimates of perceived expression, "
        "not of what a person feels."
    )
    workspace = get_workspace()
    is_busy = workspace.analysis is not None and not workspace.analysis.job.is_over
    if not is_busy:
        _take_files(workspace)
    _list_files(workspace, is_busy)
    _choose(workspace, is_busy)
    if workspace.analysis is None:
        return
    st.divider()
    if is_busy:
        show_progress(workspace.analysis.job, "cancel-analysis")
    else:
        _show_result(workspace)


def _take_files(workspace: Workspace) -> None:
    """Take what a visitor uploads or photographs into the workspace, and give back Streamlit's memory of it."""
    settings = get_dashboard().settings
    source = st.segmented_control(
        "Where from", [FILES, CAMERA], default=FILES, required=True, label_visibility="collapsed"
    )
    number = st.session_state.setdefault(ROUND, 0)
    if source == CAMERA:
        st.caption(
            "A browser gives single pictures here, and only over HTTPS or from this machine. A video is recorded with "
            "the camera's own program and uploaded."
        )
        picture = st.camera_input("Take a picture", key=f"camera-{number}")
        taken = [] if picture is None else [picture]
    else:
        taken = st.file_uploader(
            f"Videos or pictures, together up to {settings.max_upload_mb:,} MB",
            accept_multiple_files=True,
            key=f"files-{number}",
        )
    for sentence in st.session_state.pop(REFUSED, []):
        st.error(sentence)
    if not taken:
        return
    refused = []
    for file in taken:
        try:
            workspace.uploads.append(
                store_upload(
                    file, file.name, file.size, workspace.directory, workspace.uploads, settings.max_upload_bytes
                )
            )
        except UserError as error:
            refused.append(escape_markdown(str(error)))
        _forget_upload(file)
    st.session_state[ROUND] = number + 1
    st.session_state[REFUSED] = refused
    st.rerun()


def _list_files(workspace: Workspace, is_busy: bool) -> None:
    if not workspace.uploads:
        return
    st.dataframe(
        {
            "file": [upload.name for upload in workspace.uploads],
            "in the report": [upload.path.name for upload in workspace.uploads],
            "size": [format_size(upload.size) for upload in workspace.uploads],
        },
        hide_index=True,
    )
    if st.button("Delete files and result", disabled=is_busy, icon=":material/delete:"):
        get_dashboard().workspaces.clear(workspace)
        st.rerun()


def _choose(workspace: Workspace, is_busy: bool) -> None:
    """Offer models and options, and start a run of what is chosen."""
    settings = get_dashboard().settings
    versions: list[ModelVersion] = []
    with tell_errors():
        versions = load_versions(settings.registry)
    models = list_models(load_runs(settings.outputs), versions)
    if not models:
        st.error("There is no model: train one, or install the program anew, which brings one along.")
        return
    model: ModelChoice = st.selectbox("Model", models, format_func=lambda choice: choice.label, disabled=is_busy)
    columns = st.columns(3)
    frames = columns[0].selectbox("Frames", list(FRAMES), disabled=is_busy)
    detector = columns[1].selectbox("Finds faces", list(DETECTORS), disabled=is_busy)
    faces = columns[2].selectbox("Faces", list(FACES), disabled=is_busy)
    if st.button("Analyse", type="primary", disabled=is_busy or not workspace.uploads, icon=":material/play_arrow:"):
        dashboard = get_dashboard()
        choices = Choices(model.uri, DETECTORS[detector], FRAMES[frames], FACES[faces])
        workspace.analysis = start_analysis(
            settings, dashboard.queue, workspace.make_folder("run"), workspace.uploads, choices
        )
        st.rerun()


def _show_result(workspace: Workspace) -> None:
    analysis = workspace.analysis
    assert analysis is not None
    outcome = describe_outcome(analysis, {upload.path.name: upload.name for upload in workspace.uploads})
    if outcome.problem is not None:
        st.error(escape_markdown(outcome.problem))
    for remark in outcome.remarks:
        st.warning(escape_markdown(remark))
    if analysis.report.is_file():
        offer_files(list_files(workspace.directory, analysis.run), "analysis")
        media = {os.path.relpath(upload.path, analysis.run): upload.path for upload in workspace.uploads}
        show_page(analysis.report, workspace.directory, media)


def _forget_upload(file: UploadedFile) -> None:
    """Have Streamlit let go of a file, which it would otherwise keep in memory until the visit ends."""
    context = get_script_run_ctx()
    assert context is not None
    if isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
