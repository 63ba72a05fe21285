"""The project's code for a job: what training needs of a commit, as one archive that is always the same."""

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fer.core.archive import copy, write_archive
from fer.errors import UserError, first_line

PARTS = ("train.py", "fer", "conf", "hydra_plugins", "requirements.lock")
ARCHIVE = "code.tar.gz"


@dataclass(frozen=True)
class Code:
    """An archive of the code; ``diff_sha256`` identifies changes to tracked files that are not committed."""

    archive: Path
    commit: str
    diff_sha256: str | None


def pack(project: Path, folder: Path, allow_changes: bool, allowing: str) -> Code:
    """Write the archive of the checkout ``project`` into ``folder``.

    Raises UserError where the code is not that of a commit, unless ``allow_changes`` takes it as it is; ``allowing`` is
    what a user types for that.
    """
    commit = git(project, "rev-parse", "HEAD").decode().strip()
    changed = git(project, "status", "--porcelain", "--untracked-files=all", "--", *PARTS).decode().splitlines()
    if changed and not allow_changes:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0][3:]}{more}: changed and not committed, so the job could not be repeated; commit, or add "
            f"{allowing}"
        )
    listed = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS)
    with tempfile.TemporaryDirectory() as place:
        for name in listed.decode().split("\0"):
            # A file that was removed is still listed until that is committed.
            if name and (project / name).is_file():
                copy(project / name, Path(place) / name)
        write_archive(Path(place), folder / ARCHIVE)
    diff = git(project, "diff", "HEAD")
    return Code(folder / ARCHIVE, commit, hashlib.sha256(diff).hexdigest() if changed and diff else None)


def git(project: Path, *arguments: str) -> bytes:
    """What git prints. Raises UserError."""
    try:
        done = subprocess.run(["git", "-C", str(project), *arguments], capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"git is needed to pack the code of a job ({first_line(error)})") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"{project}: its code cannot be packed for a job ({said[0] if said else 'git failed'})")
    return done.stdout
