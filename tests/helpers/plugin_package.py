"""Packages that offer plugins, installed: a module and the dist-info directory beside it that is looked for."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.helpers.paths import PROJECT

PAGE = PROJECT / "docs" / "how-to" / "plugins.md"


def install(folder: Path, package: str, entries: Mapping[str, str], code: str = "", version: str = "1.0") -> Path:
    """Put a package into a folder that is to be on the path; its module has its name."""
    folder.mkdir(exist_ok=True)
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[fer.plugins]", *lines, ""]))
    return folder


def install_documented(folder: Path) -> Path:
    """The package of docs/how-to/plugins.md, exactly as it stands there."""
    text = PAGE.read_text(encoding="utf-8")
    project, code = (re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)[0] for kind in ("toml", "python"))
    return install(folder, "my_package", tomllib.loads(project)["project"]["entry-points"]["fer.plugins"], code)
