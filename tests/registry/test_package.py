"""model.tar.gz: the same bytes twice, checked in a fresh process, and opened only when it is sound."""

import gzip
import importlib.metadata
import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer.bundle.metadata import read_description
from fer.bundle.reference_samples import ReferenceSamples, read_samples, write_samples
from fer.core import archive as archives
from fer.core.installation import get_version
from fer.core.io import compute_sha256
from fer.core.user_cache import CACHE_ENV
from fer.errors import ModelError
from fer.registry.package import build_package, compute_checksums, compute_fingerprint, open_package, write_archive
from fer.registry.verify_package import check_package
from fer.runs.provenance import collect_environment

pytestmark = pytest.mark.slow

TarEdit = Callable[[tarfile.TarFile], None]


def test_a_package_built_twice_has_the_same_bytes(small: Path, archive: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small / "bundle", tmp_path / "elsewhere")
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    assert build_package(copy, tmp_path / "other.tar.gz") == compute_sha256(archive)
    assert (tmp_path / "other.tar.gz").read_bytes() == archive.read_bytes()
    assert compute_fingerprint(copy) == compute_fingerprint(small / "bundle")


def test_a_package_is_complete_and_holds_no_pickle(small: Path, archive: Path, tmp_path: Path) -> None:
    root = open_package(archive, tmp_path / "package")
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert {"SHA256SUMS", "code/inference.py", "code/requirements.txt", "bundle/onnx/network.onnx"} <= names
    assert {name for name in names if not name.startswith("code/")} - {"SHA256SUMS"} >= {
        f"bundle/{path.name}" for path in (small / "bundle").iterdir() if path.is_file()
    }
    assert not [name for name in names if Path(name).suffix in (".pkl", ".pt", ".pth", ".ckpt", ".bin", ".pickle")]
    assert all(re.fullmatch(r"[\w-]+==\S+", line) for line in (root / "code/requirements.txt").read_text().splitlines())


def test_a_package_answers_in_a_fresh_process(archive: Path) -> None:
    assert check_package(archive) < 1e-5


def repacked(archive: Path, folder: Path, change: Callable[[Path], None], sums: bool = True) -> Path:
    """The package with something changed inside, and SHA256SUMS made anew where asked for."""
    root = open_package(archive, folder / "root")
    change(root)
    if sums:
        (root / "SHA256SUMS").write_text(compute_checksums(root))
    write_archive(root, folder / "changed.tar.gz")
    return folder / "changed.tar.gz"


def other_probabilities(root: Path) -> None:
    samples = read_samples(root / "bundle")
    assert samples is not None
    write_samples(root / "bundle", ReferenceSamples(samples.images, np.roll(samples.probabilities, 1, 1)))


def incomplete(root: Path) -> None:
    (root / "code" / "fer" / "serving" / "requests.py").unlink()


def silent_about_samples(root: Path) -> None:
    """The handlers answer something else than the predictor."""
    answer = '{"probabilities": {"a": 1, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0}}'
    append_code(root, f"def output_fn(prediction, accept):\n    return {answer!r}, accept\n")


def in_need_of_pytorch(root: Path) -> None:
    """It takes seconds to import, so that another module has its name."""
    append_code(root, "import sys\n\nsys.modules['torch'] = sys\n")


def append_code(root: Path, lines: str) -> None:
    with (root / "code" / "inference.py").open("a") as file:
        file.write(f"\n\n{lines}")


def test_a_network_in_the_users_cache_stands_in_for_none(
    small: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No container has that cache."""
    bundle = shutil.copytree(small / "bundle", tmp_path / "bundle", ignore=shutil.ignore_patterns("onnx"))
    cached = tmp_path / "cache" / "onnx" / f"{get_version()}-{read_description(str(bundle)).sha256}" / "network.onnx"
    cached.parent.mkdir(parents=True)
    root = open_package(archive, tmp_path / "package")
    shutil.copy(root / "bundle" / "onnx" / "network.onnx", cached)
    monkeypatch.setenv(CACHE_ENV, str(tmp_path / "cache"))
    assert build_package(bundle, tmp_path / "other.tar.gz") == compute_sha256(archive)

    def lack_network(root: Path) -> None:
        shutil.rmtree(root / "bundle" / "onnx")
        append_code(root, "import sys\n\nsys.modules['torch'] = None\n")

    with pytest.raises(ModelError, match="no exported network that fits its bundle, and exporting one needs PyTorch"):
        check_package(repacked(archive, tmp_path / "lacking", lack_network))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_probabilities, "cannot answer in a fresh process .*differ by .*; it is not registered"),
        (incomplete, r"(No module named 'fer.serving.requests'|came from elsewhere).*; it is not registered"),
        (silent_about_samples, r"in a fresh process, its probabilities differ by .* from the run's \(at most 0.0001"),
        (in_need_of_pytorch, "it needs PyTorch to answer; it is not registered"),
    ],
)
def test_a_package_that_answers_otherwise_is_refused(
    change: Callable[[Path], None], said: str, archive: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        check_package(repacked(archive, tmp_path, change))


def test_a_tampered_package_is_refused(archive: Path, tmp_path: Path) -> None:
    def change(root: Path) -> None:
        (root / "code" / "inference.py").write_text("print('hello')")

    with pytest.raises(ModelError, match="its files are not those of its SHA256SUMS: it was changed"):
        open_package(repacked(archive, tmp_path, change, sums=False), tmp_path / "opened")
    bare = repacked(archive, tmp_path, lambda root: (root / "SHA256SUMS").unlink(), sums=False)
    with pytest.raises(ModelError, match="holds no SHA256SUMS"):
        open_package(bare, tmp_path / "opened")
    assert not (tmp_path / "opened").exists()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"") -> TarEdit:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, len(content)
        tar.addfile(entry, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (member("/tmp/escaped", content=b"x"), "SHA256SUMS|outside|absolute"),
        (member("../escaped", content=b"x"), "outside"),
        (member("bundle/../../escaped", content=b"x"), "outside"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "holds 'link', which is no plain file; refused"),
        (member("link", tarfile.LNKTYPE, "bundle/bundle.yaml"), "holds 'link', which is no plain file; refused"),
        (member("device", tarfile.CHRTYPE), "holds 'device', which is no plain file; refused"),
        (member("pipe", tarfile.FIFOTYPE), "holds 'pipe', which is no plain file; refused"),
    ],
)
def test_hostile_members_are_refused(edit: TarEdit, said: str, tmp_path: Path) -> None:
    archive = tmp_path / "hostile.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        edit(tar)
    with pytest.raises(ModelError, match=f"hostile.tar.gz: .*({said})"):
        open_package(archive, tmp_path / "inside" / "opened")
    assert not list(tmp_path.rglob("escaped")) and not Path("/tmp/escaped").exists()
    assert list((tmp_path / "inside").iterdir()) == []


def test_bombs_are_refused(tmp_path: Path) -> None:
    # A header that announces 5 GiB: it is refused before any of it is written.
    entry = tarfile.TarInfo("zeros")
    entry.size = 5 << 30
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(entry.tobuf() + bytes(1 << 20)))
    with pytest.raises(ModelError, match="holds more than 1000 files or 4 GiB; refused"):
        open_package(bomb, tmp_path / "opened")
    many = tmp_path / "many.tar.gz"
    with tarfile.open(many, "w:gz") as tar:
        for number in range(archives.MAX_FILES + 1):
            member(f"code/fer/m{number}.py")(tar)
    with pytest.raises(ModelError, match="holds more than 1000 files"):
        open_package(many, tmp_path / "opened")


def test_a_truncated_package_is_refused_wherever_it_ends(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1000):
        cut = tmp_path / "cut.tar.gz"
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut.tar.gz: (is no sound package|its files are|holds no SHA)"):
            open_package(cut, tmp_path / "opened")
    with pytest.raises(ModelError, match="there is no such file"):
        open_package(tmp_path / "none.tar.gz", tmp_path / "opened")
    (tmp_path / "text.tar.gz").write_text("no archive")
    with pytest.raises(ModelError, match="is no sound package"):
        open_package(tmp_path / "text.tar.gz", tmp_path / "opened")


def test_a_bundle_without_samples_makes_no_package(small: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small / "bundle", tmp_path / "bundle")
    (bundle / "samples.npz").unlink()
    with pytest.raises(ModelError, match="lacks samples.npz; name a run that train.py has finished"):
        build_package(bundle, tmp_path / "model.tar.gz")


def test_a_package_is_built_where_opencv_is_headless(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the image of jobs, where the steps evaluate and register build it."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name == "opencv-python":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed("opencv-python") if name == "opencv-python-headless" else installed(name)

    build_package(small / "bundle", tmp_path / "usual.tar.gz")
    monkeypatch.setattr(importlib.metadata, "version", version)
    build_package(small / "bundle", tmp_path / "headless.tar.gz")
    assert (tmp_path / "headless.tar.gz").read_bytes() == (tmp_path / "usual.tar.gz").read_bytes()
    assert collect_environment()["packages"]["opencv-python"] == installed("opencv-python")
