"""`fer client` on a clip and on pictures, against the server as a process."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.programs import PROBABILITIES, Program, face, png, table_of
from tests.helpers.server import Server, server

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, model: Path, token_file: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with server(folder, "--model", str(model), "--port", "0", "--token-file", str(token_file)) as found:
        yield found


def test_a_clip_is_answered_as_infer_answers_it(
    program: Program, running: Server, token_file: Path, inferred: Path, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.csv"
    asked = (str(clip), "--server", f"http://127.0.0.1:{running.port}", "--token-file", str(token_file), "--fps", "5")
    done = program("-m", "fer.client", *asked, "--out", str(out))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found, known = pd.read_csv(out), table_of(inferred)
    known = known[known["status"] == "ok"]
    both = known.merge(found, on=["video", "frame"], suffixes=("", "_client"))
    assert len(both) == len(known) > 20
    for name in (*PROBABILITIES, "face_x", "face_w"):
        assert (both[name] - both[f"{name}_client"]).abs().max() < 1e-5, name
    assert (both["emotion"] == both["emotion_client"]).all()
    # The last second has nobody in it.
    assert set(found["status"]) == {"ok", "no_face"}
    assert f"{(found['status'] == 'ok').sum()} faces classified, " in done.stderr
    again = program("-m", "fer.client", *asked, "--out", str(out))
    said = f"{out}: is there already, and nothing is overwritten; name another file with --out\n"
    assert (again.returncode, again.stderr) == (1, f"python -m fer.client: {said}")


def test_pictures_that_are_faces_go_as_they_are(
    program: Program, running: Server, token_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "faces").mkdir()
    for number in range(3):
        (tmp_path / "faces" / f"{number}.png").write_bytes(png(face(number)))
    (tmp_path / "faces" / "1.png").write_bytes(b"damaged")
    asked = (str(tmp_path / "faces"), "--server", f"http://127.0.0.1:{running.port}", "--whole")
    done = program("-m", "fer.client", *asked, "--token-file", str(token_file))
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("video,frame,time_s,status,reason,face_x,face_y,face_w,face_h,det_score,p_anger,")
    assert [line.split(",")[3] for line in lines[1:]] == ["ok", "decode_error", "ok"]
    assert done.stderr == "2 faces classified, 0 frames without a face, 1 not readable\n"
    refused = program("-m", "fer.client", *asked, "-o", str(tmp_path / "none.csv"))
    assert (refused.returncode, (tmp_path / "none.csv").exists()) == (1, False)
    assert refused.stderr == (
        f"python -m fer.client: http://127.0.0.1:{running.port}: the token is missing or wrong (401); name its file "
        "with --token-file\n"
    )
