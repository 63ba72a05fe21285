"""The package as it is installed: what it exports, its command, its wheel, and what it says where a part is missing."""

import ast
import importlib.machinery
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import fer
from fer.bundle.predictor import Predictor
from fer.cli import COMMANDS, main
from fer.core import extras, installation
from fer.core.extras import EXTRAS, SERVER_PACKAGES, require_packages
from fer.core.installation import (
    build_train_command,
    format_command,
    format_documentation,
    get_program_name,
    with_project_path,
)
from fer.errors import UserError
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

HEAVY = ("torch", "hydra", "omegaconf", "pandas", "numpy", "pydantic", "cv2")
# Packages of an extra that are imported by another name than they are installed by.
DISTRIBUTIONS = {
    "google.cloud.storage": "google-cloud-storage",
    "prometheus_client": "prometheus-client",
    "sagemaker": "sagemaker-train",
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
CLASH = "this environment also holds the distribution `fer`, another project"


def test_importing_the_package_is_free() -> None:
    code = (
        f"import sys, fer; heavy = lambda: [name for name in {HEAVY} if name in sys.modules]; "
        "print(fer.__version__, heavy()); import fer.cli; print(heavy()); "
        "from fer import load_config; print(load_config(['seed=3', 'trainer=debug']).seed, 'torch' in sys.modules); "
        "from fer import Predictor; print(Predictor.__module__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [f"{fer.__version__} []", "[]", "3 False", "fer.bundle.predictor False"], (
        done.stderr
    )


def test_what_the_package_exports() -> None:
    from fer.serving import Predictor as alias

    assert fer.Predictor is Predictor is alias
    assert {*fer.__all__} <= {*dir(fer)}
    with pytest.raises(AttributeError, match="module 'fer' has no attribute 'FER'"):
        fer.FER  # noqa: B018


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_program(name: str) -> None:
    module, description = COMMANDS[name]
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None and description
    origin = Path(spec.origin)
    program = origin.with_name("__main__.py") if spec.submodule_search_locations else origin
    assert '\nif __name__ == "__main__":\n' in program.read_text(encoding="utf-8")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes the command remember is forgotten afterwards."""
    monkeypatch.setattr(installation, "_program_name", None)


@pytest.mark.usefixtures("typed")
@pytest.mark.parametrize(
    ("arguments", "module", "name", "rest"),
    [
        (["train", "-m", "seed=0,1"], "fer.cli.train", "fer train", ["-m", "seed=0,1"]),
        (["cloud", "train", "dry_run=true"], "fer.cloud.train", "fer cloud train", ["dry_run=true"]),
        (["compare", "--help"], "fer.compare", "fer compare", ["--help"]),
    ],
)
def test_a_command_runs_its_module_as_python_does(
    arguments: list[str], module: str, name: str, rest: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/fer", *arguments])
    started = []
    monkeypatch.setattr("runpy.run_module", lambda *given, **options: started.append((given, options, sys.argv[1:])))
    assert get_program_name("python -m fer.compare") == "python -m fer.compare"
    assert format_command("infer.py") == "python infer.py"
    assert main() == 0
    assert started == [((module,), {"run_name": "__main__", "alter_sys": True}, rest)]
    # What the program says of itself is what the user typed.
    assert get_program_name("python -m fer.compare") == get_program_name() == name
    assert format_command("infer.py") == "fer infer"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["trian"], 2, "fer: trian: there is no such command; did you mean fer train?\nfer: `fer --help` lists them\n"),
        (["cloud", "trian", "x"], 2, "fer: cloud trian: there is no such command; did you mean fer cloud train?\n"),
        (["cloud", "xyz"], 2, "fer: cloud xyz: there is no such command\n"),
        (["zzz"], 2, "fer: zzz: there is no such command\nfer: `fer --help` lists them\n"),
    ],
)
def test_an_unknown_command_names_the_nearest(
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/fer", *arguments])
    assert main() == code
    assert capsys.readouterr().err.startswith(said)


def test_the_help_lists_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    printed = {}
    for arguments in ((), ("-h",), ("--help",), ("cloud",), ("cloud", "--help"), ("--version",)):
        monkeypatch.setattr(sys, "argv", ["/bin/fer", *arguments])
        assert main() == 0
        printed[arguments] = capsys.readouterr().out
    assert all(f"\n  {name} " in printed[()] for name in COMMANDS)
    assert printed[()] == printed["-h",] == printed["--help",]
    assert printed["cloud",] == printed["cloud", "--help"]
    assert [line.split()[:2] for line in printed["cloud",].splitlines() if line.startswith("  ")] == [
        name.split() for name in COMMANDS if name.startswith("cloud ")
    ]
    assert printed["--version",] == f"fer-experiments {fer.__version__}\n"


@pytest.mark.parametrize("package", EXTRAS)
def test_a_missing_extra_is_a_sentence(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_packages(package, purpose="tracker.wandb")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))
    sentence = f"needs {package}; install it with pip install 'fer-experiments[{EXTRAS[package]}]'"
    with pytest.raises(UserError) as raised:
        require_packages(*EXTRAS, purpose="tracker.wandb")
    assert (str(raised.value), raised.value.exit_code) == (f"tracker.wandb: {sentence}", 1)
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        require_packages(package)


def test_every_extra_installs_what_it_is_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*SERVER_PACKAGES} == {package for package, extra in EXTRAS.items() if extra == "serve"}
    for package, extra in EXTRAS.items():
        name = DISTRIBUTIONS.get(package, package)
        assert name in project["optional-dependencies"][extra]
        assert name not in project["dependencies"]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == fer.__version__


def test_the_wheel_holds_all_that_runs(wheel: Path) -> None:
    def find(folder: str, *patterns: str) -> set[str]:
        return {path.relative_to(PROJECT).as_posix() for name in patterns for path in (PROJECT / folder).rglob(name)}

    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
        scripts = archive.read(next(name for name in archive.namelist() if name.endswith("/entry_points.txt")))
    templates = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "fer/reports/templates").iterdir()}
    conf = {f"fer/{name}" for name in find("conf", "*.yaml") | find("schemas", "*.json")}
    pretrained = {path for path in find("fer/pretrained", "*") if (PROJECT / path).is_file()}
    python = {*find("fer", "*.py"), *find("hydra_plugins", "*.py")}
    assert names == {"fer/py.typed", *python, *templates, *conf, *pretrained}
    assert "fer/pretrained/bundle/weights.safetensors" in pretrained
    assert len(conf) > 30 and len(templates) > 5
    known = dict(line.split(": ", 1) for line in metadata.splitlines()[:4])
    assert (known["Name"], known["Version"]) == ("fer-experiments", fer.__version__)
    # MIT is the code's licence, and not that of the weights.
    assert "\nLicense-Expression: MIT AND LicenseRef-fer-pretrained-weights\n" in metadata
    assert {"License-File: LICENSE", "License-File: NOTICE"} <= {*metadata.splitlines()}
    assert scripts.decode() == "[console_scripts]\nfer = fer.cli:main\n"


def test_an_installed_package_starts_trainings_without_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {"PYTHONPATH": "/own", "HOME": "/home"}
    assert build_train_command() == [str(PROJECT / "train.py")]
    assert build_train_command(Path("/code")) == ["/code/train.py"]
    assert with_project_path(paths) == {"PYTHONPATH": f"{PROJECT}:/own", "HOME": "/home"}
    assert with_project_path({"PYTHONPATH": str(PROJECT)}) == with_project_path({}) == {"PYTHONPATH": str(PROJECT)}
    monkeypatch.setattr(installation, "INSTALLED", True)
    assert build_train_command() == ["-P", "-m", "fer.cli.train"]
    assert with_project_path(paths) == paths


def test_hints_name_the_command_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts and modules in a checkout, the command `fer` where the package is installed."""
    documentation = "python infer.py resume=RUN\n`python -m fer.cloud.train` and python -m fer.compare; python other.py"
    modules = {module: f"fer {name}" for name, (module, _) in COMMANDS.items()}
    commands = modules | {"train.py": "fer train", "infer.py": "fer infer", "register.py": "fer register"}
    assert format_documentation(documentation) == documentation
    assert {format_command(name) for name in modules} == {f"python -m {name}" for name in modules}
    assert format_command("train.py") == "python train.py"
    monkeypatch.setattr(installation, "INSTALLED", True)
    assert {name: format_command(name) for name in commands} == commands
    assert format_documentation(documentation) == (
        "fer infer resume=RUN\n`fer cloud train` and fer compare; python other.py"
    )


@pytest.mark.parametrize(
    ("script", "module", "name"),
    [
        ("train.py", None, "train.py"),
        ("train.py", "fer.cli.train", "train.py"),
        ("train.py", "fer.cloud.train", "python -m fer.cloud.train"),
        ("__main__.py", "fer.compare.__main__", "python -m fer.compare"),
    ],
)
@pytest.mark.usefixtures("typed")
def test_errors_begin_with_what_was_started(
    script: str, module: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = module and importlib.machinery.ModuleSpec(module, None)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    monkeypatch.setattr(sys, "argv", [f"/code/{script}"])
    assert get_program_name() == name


def test_no_hint_names_a_module_where_the_command_is_there() -> None:
    """Texts that users see are built by format_command; docstrings are shown by format_documentation."""
    for file in (PROJECT / "fer").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
                # What get_program_name takes is the default where the command was not typed.
                typed = re.sub(r"^python -m fer(\.\w+)+$", "", node.value)
                assert "python -m fer" not in typed, f"{file}:{node.lineno}: {node.value}"


def test_the_other_project_of_this_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fer_experiments-0.2.0.dist-info").mkdir()
    monkeypatch.setattr(installation, "PROJECT_ROOT", tmp_path)
    assert installation.describe_name_clash() is None
    (tmp_path / "fer-25.10.3.dist-info").mkdir()
    monkeypatch.setattr(sys, "argv", ["/bin/fer", "--version"])
    assert main() == 1
    assert capsys.readouterr().err.startswith(f"fer: {CLASH}")
    for name in ("Predictor", "FER"):
        with pytest.raises(ImportError, match=CLASH):
            getattr(fer, name)
    assert not hasattr(fer, "__wrapped__")
