"""The images of the Dockerfile, without Docker: their files, their packages, and what both need of the base image."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fer.cloud.source_archive import SOURCE_PATHS
from fer.registry.package import SERVING_CODE
from tests.helpers.docker_files import Stage, build_tree, list_context, parse_dockerfile
from tests.helpers.paths import PROJECT
from tests.helpers.shared_objects import read_shared_object

JOBS, SERVER = parse_dockerfile((PROJECT / "Dockerfile").read_text(encoding="utf-8"))
# What python:3.11-slim has: Debian with what apt and Python need.
BASE_LIBRARIES = {
    **dict.fromkeys(
        (
            *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libmvec.so.1", "libdl.so.2"),
            *("libpthread.so.0", "librt.so.1", "libutil.so.1"),
        ),
        "libc6",
    ),
    "libgcc_s.so.1": "libgcc-s1, which libc6 and apt need",
    "libstdc++.so.6": "libstdc++6, which apt needs",
    "libz.so.1": "zlib1g, which dpkg and Python need",
    "libffi.so.8": "libffi8, which Python's ctypes needs",
    "libssl.so.3": "libssl3, which Python's ssl needs",
    "libcrypto.so.3": "libssl3, which Python's ssl needs",
}
# Needed by files that are loaded on such machines alone: by package, with the reason.
ELSEWHERE = {
    "libcuda.so.1": ("torch", "comes with the driver, which SageMaker mounts on machines with a GPU"),
    **dict.fromkeys(("libibverbs.so.1", "librdmacm.so.1"), ("nvidia-cufile", "GPUDirect storage over InfiniBand")),
    "libOpenCL.so.1": ("openvino", "its plugin for Intel's GPUs, which is loaded on such machines; we compute on CPUs"),
    "libmlx5.so.1": ("nvidia-cufile nvidia-nvshmem-cu13", "InfiniBand of Mellanox"),
    **dict.fromkeys(
        ("libfabric.so.1", "libmpi.so.40", "liboshmem.so.40", "libpmix.so.2", "libucp.so.0", "libucs.so.0"),
        ("nvidia-nvshmem-cu13", "a transport or launcher that is chosen by an environment variable; we use NCCL"),
    ),
}
# Packages of a lock that this environment has under another name, or not at all.
HEADLESS = "opencv-python-headless"  # the same version, without windows
LINUX = {**default_environment(), "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
IMPORT_ALL = """
import gc
# A third of the time would go into looking for what can be collected.
gc.disable()
import importlib, pkgutil, fer
names = [module.name for module in pkgutil.walk_packages(fer.__path__, "fer.") if not module.name.endswith("__main__")]
# No job shows a dashboard, so no image has Streamlit.
names = [name for name in names if not name.startswith(("fer.app.pages", "fer.app.entry"))]
for name in names:
    importlib.import_module(name)
print(len(names), fer.__file__)
"""


def read_lock(name: str) -> dict[str, Requirement]:
    """The requirements of a lock that apply to the images."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    return {
        canonicalize_name(one.name): one
        for one in requirements
        if one.marker is None or one.marker.evaluate({**LINUX, "platform_machine": "x86_64"})
    }


@pytest.fixture(scope="module")
def context() -> set[str]:
    return list_context(PROJECT)


@pytest.mark.parametrize(("stage", "lock"), [(JOBS, "/jobs.lock"), (SERVER, "/opt/fer/serving.lock")])
def test_every_file_that_a_target_copies_reaches_the_builder(stage: Stage, lock: str, context: set[str]) -> None:
    tree = build_tree(stage, context)
    assert lock in tree
    assert not [path for path in tree if "__pycache__" in path]
    assert stage.base.startswith("python:3.11-slim")
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True).stdout.splitlines()
    # What is not committed must not get into an image.
    assert {source for source in tree.values() if source not in tracked} <= {"jobs.lock"}


def test_nothing_is_sent_to_the_builder_that_no_target_copies_but_the_package(context: set[str]) -> None:
    copied = {*build_tree(JOBS, context).values(), *build_tree(SERVER, context).values()}
    assert {name for name in context - copied if not name.startswith("fer/")} == {
        "Dockerfile",
        ".dockerignore",
    } & context


def test_what_does_not_reach_the_builder_is_found() -> None:
    stage = Stage("python", None, [("COPY", "requirements.lock ./")])
    with pytest.raises(ValueError, match="COPY requirements.lock: does not reach the builder"):
        build_tree(stage, {"jobs.lock"})
    installing = Stage("python", None, [("WORKDIR", "/a"), ("COPY", "x.lock /b/"), ("RUN", "pip install -r x.lock")])
    with pytest.raises(ValueError, match=r"/a/x.lock is not in the image"):
        build_tree(installing, {"x.lock"})


def test_the_server_has_the_code_that_packages_have(context: set[str]) -> None:
    tree = build_tree(SERVER, context)
    folders = {path.split("/")[4] for path in tree if path.startswith("/opt/fer/fer/") and path.count("/") > 4}
    assert folders == {name.strip("/") for name in SERVING_CODE if not name.endswith(".py")}


@pytest.mark.parametrize("name", ["requirements.lock", "serving.lock", "jobs.lock"])
def test_a_lock_pins_every_package_with_hashes(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^ *#.*\n?", "", text).strip())
    assert len(blocks) > 15
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("name", ["serving.lock", "jobs.lock"])
def test_an_image_has_the_versions_that_are_tested(name: str) -> None:
    tested = read_lock("requirements.lock")
    for package, one in read_lock(name).items():
        same = tested["opencv-python" if package == HEADLESS else package]
        assert one.specifier == same.specifier, package


@pytest.mark.parametrize(("name", "declared"), [("serving.lock", "serving.in"), ("jobs.lock", "jobs.in")])
def test_a_lock_is_complete(name: str, declared: str) -> None:
    """It is installed without looking for dependencies, so all of them must be in it."""
    lock = read_lock(name)
    lines = (PROJECT / declared).read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    if name == "jobs.lock":
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"]
        # No job is developed on, or shows a dashboard.
        needed = [line for extra, lines in extras.items() if extra not in ("dev", "app") for line in lines]
        wanted += [Requirement(line) for line in [*project["dependencies"], *needed]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        one = wanted.pop()
        package = canonicalize_name(one.name)
        if package == "opencv-python":
            package = HEADLESS
        assert package in lock, f"{one} is not in {name}"
        assert one.specifier.contains(next(iter(lock[package].specifier)).version, prereleases=True), one
        key = (package, frozenset(one.extras))
        if key in seen or package == HEADLESS:
            continue
        seen.add(key)
        for line in importlib.metadata.requires(package) or ():
            inner = Requirement(line)
            environments = [{**LINUX, "platform_machine": "x86_64", "extra": extra} for extra in ("", *one.extras)]
            if inner.marker is None or any(inner.marker.evaluate(environment) for environment in environments):
                wanted.append(inner)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving.lock", "jobs.lock"])
def test_no_shared_object_lacks_a_library(name: str) -> None:
    lock = read_lock(name)
    provided: set[str] = set()
    needed: dict[str, set[str]] = {}
    for distribution in importlib.metadata.distributions():
        package = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or () if package in lock else ():
            path = Path(str(distribution.locate_file(file)))
            found = read_shared_object(path) if ".so" in path.name and path.is_file() else None
            if found is not None:
                provided.update(found.names)
                for library in found.needed:
                    needed.setdefault(library, set()).add(package)
    assert "libc.so.6" in needed
    missing = {library: packages for library, packages in needed.items() if library not in provided}
    unexplained = {
        library: packages
        for library, packages in missing.items()
        if library not in BASE_LIBRARIES and not packages <= {*ELSEWHERE.get(library, ("", ""))[0].split()}
    }
    assert unexplained == {}


def link_packages(lock: dict[str, Requirement], folder: Path) -> None:
    """Lay links to the packages of a lock, and to nothing else of this environment, into a folder."""
    members: dict[str, list[tuple[str, Path]]] = {}
    for distribution in importlib.metadata.distributions():
        package = canonicalize_name(distribution.metadata["Name"])
        package = HEADLESS if package == "opencv-python" else package
        for file in distribution.files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                members.setdefault(file.parts[0], []).append((package, Path(str(file))))
    home = Path(str(importlib.metadata.distribution("packaging").locate_file("")))
    for name, files in members.items():
        wanted = [file for package, file in files if package in lock]
        # Several packages may share a folder, such as nvidia/.
        links = wanted if len(wanted) < len(files) else [Path(name)]
        for link in links:
            (folder / link).parent.mkdir(parents=True, exist_ok=True)
            (folder / link).symlink_to(home / link)


@pytest.mark.slow
def test_jobs_import_every_module_with_the_packages_of_their_image(tmp_path: Path) -> None:
    code, packages = tmp_path / "code", tmp_path / "packages"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *SOURCE_PATHS], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, code / name)
    packages.mkdir()
    link_packages(read_lock("jobs.lock"), packages)
    # Without -S, the environment that runs the tests would be found, too.
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT_ALL],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    count, origin = done.stdout.split()[-2:]
    assert int(count) > 200 and origin == str(code / "fer" / "__init__.py")


def test_the_entry_points_are_modules_of_the_project(context: set[str]) -> None:
    tree = build_tree(SERVER, context)
    assert SERVER.last("ENTRYPOINT")[:3] == ["python", "-m", "fer.serving"]
    assert "/opt/fer/fer/serving/__main__.py" in tree
    # Jobs bring their code: the image starts a module of it, by programs that Debian's slim image has.
    shell, option, command = JOBS.last("ENTRYPOINT")
    assert (shell, option) == ("/bin/bash", "-c")
    programs = {words.split()[0] for words in re.split(r"&&|exec", command) if words.strip()}
    assert programs == {"mkdir", "cd", "tar", "python3"}
    module = command.partition("python3 -m ")[2].split()[0]
    assert (PROJECT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["serving.lock", "jobs.lock"])
def test_the_headless_build_of_opencv_needs_nothing_of_a_desktop(name: str, tmp_path: Path) -> None:
    """It is in no environment of ours, so it is fetched; the whole of the small lock is installed and checked."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "packages")]
    if name == "serving.lock":
        command += ["--require-hashes", "-r", str(PROJECT / name)]
    else:
        command.append(str(read_lock(name)[HEADLESS]))
    # That by which all other tests are kept from the network.
    reaching_out = {key: value for key, value in os.environ.items() if key != "HTTPS_PROXY"}
    subprocess.run(command, check=True, env=reaching_out)
    objects = [found for path in (tmp_path / "packages").rglob("*.so*") if (found := read_shared_object(path))]
    provided = {library for found in objects for library in found.names}
    assert {library for found in objects for library in found.needed} - provided <= {*BASE_LIBRARIES}
