"""The project's code for a job: what training needs of a commit, as one reproducible archive."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fer.core.archive import write_files
from fer.core.installation import INSTALLED
from fer.errors import UserError, shorten_error
from fer.runs.provenance import run_git

SOURCE_PATHS = ("train.py", "fer", "conf", "hydra_plugins", "requirements.lock")
ARCHIVE = "code.tar.gz"


@dataclass(frozen=True)
class SourceArchive:
    """An archive of the code.

    Args:
        archive: Path of the archive.
        commit: Commit that is checked out.
        diff_sha256: SHA-256 of changes to tracked files that are not committed; None where there are none.
    """

    archive: Path
    commit: str
    diff_sha256: str | None


def pack_source(project: Path, folder: Path, allow_changes: bool, allow_override: str) -> SourceArchive:
    """Write the archive of a checkout.

    Args:
        project: Root of the checkout.
        folder: Directory for the archive.
        allow_changes: Whether uncommitted changes are allowed.
        allow_override: What a user types to allow them.

    Raises:
        UserError: There are changes that are not allowed, git fails, or this package is no checkout.
    """
    if INSTALLED:
        raise UserError(
            "the code of a job is packed from a git checkout of fer-experiments, and this is the installed package; "
            "start the job from a checkout"
        )
    commit = _run_git(project, "rev-parse", "HEAD").decode().strip()
    changed = (
        _run_git(project, "status", "--porcelain", "--untracked-files=all", "--", *SOURCE_PATHS).decode().splitlines()
    )
    if changed and not allow_changes:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0][3:]}{more}: changed and not committed, so the job could not be repeated; commit, or add "
            f"{allow_override}"
        )
    listing = _run_git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SOURCE_PATHS)
    # A removed file is listed until its removal is committed.
    names = sorted(name for name in listing.decode().split("\0") if name and (project / name).is_file())
    write_files(((name, project / name) for name in names), folder / ARCHIVE)
    diff = _run_git(project, "diff", "HEAD")
    return SourceArchive(folder / ARCHIVE, commit, hashlib.sha256(diff).hexdigest() if changed and diff else None)


def _run_git(project: Path, *arguments: str) -> bytes:
    """Return what git prints. Raises UserError."""
    try:
        return run_git(project, *arguments)
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"{project}: its code cannot be packed for a job ({message[0] if message else 'git failed'})"
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"git is needed to pack the code of a job ({shorten_error(error)})") from None
