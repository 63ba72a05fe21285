"""Small data sets that the tests draw, and the programs run on them."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from filelock import FileLock

from fer.emotions import EMOTIONS, FERPLUS_VOTES, RAFDB_LABELS
from fer.synthetic.video import CLIP, write_clip
from tests.helpers.paths import PROJECT, WITHOUT_REPORT_ENV
from tests.helpers.programs import FAST, INFER, LARGE_FACES, Done, Program, environment, face, png, run

BuildOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which programs run; its cache of decoded images serves all tests."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="session")
def program(workplace: Path) -> Program:
    """Run `python COMMAND…` to its end."""

    return partial(run, cwd=workplace)


@pytest.fixture(scope="session")
def train(program: Program) -> Program:
    """Run train.py to its end."""

    def run(*overrides: str) -> Done:
        return program(str(PROJECT / "train.py"), *overrides)

    return run


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> BuildOnce:
    """Have a directory made by the first worker that needs it; the others wait for it and read it."""
    own = tmp_path_factory.getbasetemp()
    root = own if worker_id == "master" else own.parent

    def build(name: str, make: Callable[[Path], object]) -> Path:
        directory, mark = root / name, root / f"{name}.made"
        with FileLock(root / f"{name}.lock"):
            if not mark.exists():
                make(directory)
                mark.touch()
        return directory

    return build


@pytest.fixture(scope="module")
def without_report() -> Iterator[None]:
    """Trainings of programs draw no report, which takes a third of a short one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WITHOUT_REPORT_ENV, "1")
        yield


@pytest.fixture
def with_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """They do in this test, although they do not in others of its file."""
    monkeypatch.delenv(WITHOUT_REPORT_ENV)


@pytest.fixture(scope="session")
def finished(program: Program, build_once: BuildOnce) -> Path:
    """A finished run of two epochs on drawn faces, with all stages and its report, whoever asks for it first."""

    def make(directory: Path) -> None:
        surroundings = {name: value for name, value in environment().items() if name != WITHOUT_REPORT_ENV}
        options = (*FAST, "trainer.max_epochs=2", f"hydra.run.dir={directory}")
        done = program(str(PROJECT / "train.py"), *options, surroundings=surroundings)
        assert done.returncode == 0, done.stderr

    return build_once("finished", make)


@pytest.fixture(scope="session")
def clip(build_once: BuildOnce) -> Path:
    """Eight seconds of the drawn clip: the last one has nobody in it."""
    return build_once("clip", lambda directory: write_clip(directory, seconds=8)) / CLIP


@pytest.fixture(scope="session")
def model(finished: Path, build_once: BuildOnce) -> Path:
    """A small trained model: a copy, because its ONNX network is kept beside it."""
    return build_once("model", lambda directory: shutil.copytree(finished, directory))


@pytest.fixture(scope="session")
def infer(program: Program, model: Path) -> Program:
    """Run infer.py with a small trained model to its end."""

    def run(*overrides: str) -> Done:
        return program(INFER, f"model_uri={model}", "trainer.threads=1", LARGE_FACES, *overrides)

    return run


@pytest.fixture(scope="session")
def inferred(infer: Program, clip: Path, build_once: BuildOnce) -> Path:
    """A finished run over the clip, five frames a second."""

    def make(directory: Path) -> None:
        done = infer(f"extraction.input={clip}", "extraction.fps=5", f"hydra.run.dir={directory}")
        assert done.returncode == 0, done.stderr + done.stdout
        assert str(directory / "report.html") in done.stdout

    return build_once("inferred", make)


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one folder a class, 14 colour faces each."""
    root = tmp_path_factory.mktemp("faces")
    for number in range(14 * len(EMOTIONS)):
        path = root / EMOTIONS[number % len(EMOTIONS)] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(face(number)))
    return root


@pytest.fixture(scope="session")
def ferplus_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .zip in FERPlus's layout with training and validation parts, gray faces, all eight emotions."""
    path = tmp_path_factory.mktemp("ferplus") / "ferplus.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part, first, count in (("FER2013Train", 0, 96), ("FER2013Valid", 500, 32)):
            rows = []
            for number in range(first, first + count):
                votes = np.zeros(10, int)
                votes[number % 8], votes[(number + 1) % 8] = 8, 2
                name = f"fer{number:07d}.png"
                rows.append(f'{name},"(0, 0, 48, 48)",' + ",".join(map(str, votes)))
                archive.writestr(f"{part}/{name}", png(cv2.cvtColor(face(number), cv2.COLOR_RGB2GRAY)))
            archive.writestr(f"{part}/label.csv", "\n".join(rows) + "\n")
    assert FERPLUS_VOTES[7] == "contempt"
    return path


@pytest.fixture(scope="session")
def rafdb_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in RAF-DB's Kaggle layout, 100×100 colour faces."""
    root = tmp_path_factory.mktemp("rafdb")
    for part, first, count in (("train", 1000, 98), ("test", 2000, 28)):
        for number in range(first, first + count):
            path = root / "DATASET" / part / str(number % 7 + 1) / f"{part}_{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(face(number, 100)))
    assert set(RAFDB_LABELS) == set(range(1, 8))
    return root


@pytest.fixture
def stopped() -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Register a process that must not outlive the test, nor what it has started."""
    processes: list[subprocess.Popen[str]] = []
    yield processes.append
    for process in processes:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait()
