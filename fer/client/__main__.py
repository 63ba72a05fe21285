"""`python -m fer.client CLIP --server URL`: the faces of videos and pictures, classified by a server of this project.

Faces are found and cut out on this machine, as infer.py does it; the server gets the faces alone, and has the model.
The answers come as CSV, a row a face, to standard output or into a new file. What fails for a moment is sent again.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import IO

from fer.client.client import MAX_FRAMES, Client
from fer.client.faces import FaceSource, Item, iter_pictures, list_pictures
from fer.client.table import Row, TableWriter, answer_sequence, iter_rows
from fer.core.installation import format_documentation, get_program_name
from fer.core.io import atomic_write
from fer.core.progress import track_progress
from fer.core.token_file import read_token
from fer.errors import DataError, ExitCode, UserError

PROGRAM = "python -m fer.client"
# A day.
MAX_PATIENCE_S = 86_400
log = logging.getLogger(__name__)


def main() -> None:
    """Classify what the command line names. Raises SystemExit with the exit code."""
    from fer.runs.program import user_errors_to_exit_code

    with user_errors_to_exit_code():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        sys.exit(run(_parse_args()))


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=get_program_name(PROGRAM), description=format_documentation(__doc__))
    parser.add_argument("inputs", nargs="+", metavar="CLIP", help="videos, pictures, folders of them, or globs")
    parser.add_argument("--server", required=True, metavar="URL", help="its address, which it prints when it starts")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token that the server asks for")
    parser.add_argument("--out", "-o", type=Path, metavar="FILE", help="a new CSV file; standard output without it")
    parser.add_argument("--fps", type=float, default=1.0, help="frames a second of a video (1)")
    parser.add_argument(
        "--detector", choices=["auto", "yunet", "haar"], default="auto", help="what finds the faces, as of infer.py"
    )
    parser.add_argument("--all-faces", action="store_true", help="all faces of a frame instead of the largest")
    parser.add_argument("--whole", action="store_true", help="the pictures are faces already: send them as they are")
    parser.add_argument(
        "--sequence", action="store_true", help="the frames of a video as one sequence, for a model of clips"
    )
    parser.add_argument("--batch", type=int, default=64, help="faces of one request (64)")
    parser.add_argument("--parallel", type=int, default=4, help="requests at the same time (4)")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that a request is tried again (120)")
    args = parser.parse_args()
    if not 0 < args.fps <= 1000:
        parser.error(f"--fps {args.fps:g}: must be above 0, and at most 1000")
    if not 1 <= args.batch <= 10_000 or not 1 <= args.parallel <= 64:
        parser.error(f"--batch {args.batch}, --parallel {args.parallel}: must be 1 to 10,000, and 1 to 64")
    if not 0 <= args.patience <= MAX_PATIENCE_S:
        parser.error(f"--patience {args.patience:g}: must be 0 to {MAX_PATIENCE_S:,} s")
    if args.sequence and (args.all_faces or args.whole):
        parser.error("--sequence takes the largest face of each frame; leave --all-faces and --whole out")
    return args


def run(args: argparse.Namespace) -> int:
    """Classify, and write the table.

    Args:
        args: The command line.

    Returns:
        The exit code: 0, 1 where nothing was classified, 3 where some pictures or videos could not be read.

    Raises:
        UserError: The server or the inputs are of no use, or the file is there already.
    """
    if args.out is not None and args.out.exists():
        raise UserError(f"{args.out}: is there already, and nothing is overwritten; name another file with --out")
    token = None if args.token_file is None else read_token(args.token_file).decode("ascii")
    counts = {"ok": 0, "no_face": 0, "decode_error": 0}
    with Client(args.server, token, args.batch, args.parallel, patience_s=args.patience) as client:
        # Before hours of work it is known that somebody answers.
        client.wait_until_ready()
        total, rows = _start(args, client)
        with _open_table(args.out) as file:
            table = TableWriter(file)
            counted = track_progress(rows, total, "Classified", "frames", size=lambda pair: int(pair[0].is_first))
            for _, row in counted:
                counts[row["status"]] += 1
                table.write(row)
            table.finish()
    log.info("%d faces classified, %d frames without a face, %d not readable", *counts.values())
    if not counts["ok"]:
        return ExitCode.ERROR
    return ExitCode.PARTIAL if counts["decode_error"] else ExitCode.OK


def _start(args: argparse.Namespace, client: Client) -> tuple[int, Iterator[tuple[Item, Row]]]:
    """About how many frames there are, and their rows as they come. Raises UserError."""
    if args.whole:
        paths = list_pictures(args.inputs)
        return len(paths), iter_rows(client, iter_pictures(paths))
    from fer.video.media import find_media

    media = find_media(args.inputs)
    source = FaceSource(args.fps, args.detector, args.all_faces)
    items = source.iter_faces(media)
    total = source.estimate_frames(media)
    if not args.sequence:
        return total, iter_rows(client, items)
    return total, _answer_videos(client, items, args.fps)


def _answer_videos(client: Client, items: Iterator[Item], fps: float) -> Iterator[tuple[Item, Row]]:
    """Yield the frames of each video, which is one sequence. Raises UserError."""
    for name, video in groupby(items, key=lambda item: item.row["video"]):
        frames = list(islice(video, MAX_FRAMES + 1))
        if len(frames) > MAX_FRAMES:
            raise DataError(
                f"{name}: has more than {MAX_FRAMES} frames at --fps {fps:g}, which is too many for one sequence; take "
                "fewer, or classify it by infer.py"
            )
        yield from answer_sequence(client, frames, 1 / fps)


@contextmanager
def _open_table(path: Path | None) -> Iterator[IO[str]]:
    """A file that gets its name once it is whole; standard output where none is named."""
    if path is None:
        yield sys.stdout
        return
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


if __name__ == "__main__":
    main()
