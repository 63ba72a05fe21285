"""Hostile packages of models, each with what a user does with it; `benchmarks.attacks` measures them."""

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fer.registry.package import open_package

ZEROS = bytes(1 << 20)
# Makes the hostile file in a directory, and returns what a user does with it.
Attack = Callable[[Path], Callable[[], Any]]


def _make_tar(path: Path, members: Mapping[str, bytes], mode: str = "w:gz", **entry: Any) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in entry.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return path


def _open_package(path: Path) -> Callable[[], Any]:
    return lambda: open_package(path, path.parent / "opened")


def write_zeros(file: Any, megabytes: int) -> None:
    """Write zeros into an open file."""
    for _ in range(megabytes):
        file.write(ZEROS)


def _attack_member(name: str, content: bytes = b"open('/tmp/fer-attack', 'w')", **entry: Any) -> Attack:
    return lambda folder: _open_package(_make_tar(folder / "model.tar.gz", {name: content}, **entry))


def _attack_pax(folder: Path) -> Callable[[], Any]:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 600 << 20
    with gzip.open(folder / "model.tar.gz", "wb", 1) as file:
        file.write(entry.tobuf())
        write_zeros(file, 600)
    return _open_package(folder / "model.tar.gz")


def _attack_pax_chain(folder: Path) -> Callable[[], Any]:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 512
    with gzip.open(folder / "model.tar.gz", "wb") as file:
        file.write((entry.tobuf() + b"12 a=bcdefg\n".ljust(512, b"\0")) * 20_000)
    return _open_package(folder / "model.tar.gz")


def _attack_gzip_header(folder: Path) -> Callable[[], Any]:
    (folder / "model.tar.gz").write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (20 << 20))
    return _open_package(folder / "model.tar.gz")


def _attack_gzip_parts(folder: Path) -> Callable[[], Any]:
    (folder / "model.tar.gz").write_bytes(gzip.compress(b"") * 200_000)
    return _open_package(folder / "model.tar.gz")


def _attack_expansion(folder: Path) -> Callable[[], Any]:
    entry = tarfile.TarInfo("bundle/weights.safetensors")
    entry.size = 3 << 30
    with gzip.open(folder / "model.tar.gz", "wb", 1) as file:
        file.write(entry.tobuf())
        write_zeros(file, 300)
    return _open_package(folder / "model.tar.gz")


def _attack_members(folder: Path) -> Callable[[], Any]:
    return _open_package(_make_tar(folder / "model.tar.gz", {f"code/fer/m{n}.py": b"" for n in range(20_000)}))


def _attack_sparse(folder: Path) -> Callable[[], Any]:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(4 << 40)}
    return _open_package(_make_tar(folder / "model.tar.gz", {"bundle/bundle.yaml": b"1\n" * 512}, pax_headers=pax))


PACKAGE_ATTACKS: dict[str, Attack] = {
    **{
        f"package: {name}": _attack_member(name)
        for name in (
            *("uvicorn.py", "sitecustomize.py", "fer/__init__.py", "code/evil.pth", "code/fer/conftest.py/x"),
            *("code/fer/native.so", "../escaped", "/tmp/escaped", "bundle/Bundle.yaml", "code/sitecustomize.py"),
        )
    },
    "package: symbolic link": _attack_member("bundle/bundle.yaml", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "package: hard link": _attack_member("bundle/bundle.yaml", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "package: device": _attack_member("bundle/bundle.yaml", b"", type=tarfile.CHRTYPE),
    "package: sparse file": _attack_sparse,
    "package: 600 MB of PAX header": _attack_pax,
    "package: 20,000 PAX headers in a chain": _attack_pax_chain,
    "package: 20 MB of gzip header": _attack_gzip_header,
    "package: 200,000 gzip streams": _attack_gzip_parts,
    "package: 300 MB of zeros": _attack_expansion,
    "package: 20,000 members": _attack_members,
}
