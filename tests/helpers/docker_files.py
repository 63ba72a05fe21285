"""What `docker build` would put into an image: the stages of a Dockerfile, and the files that reach them."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from docker.utils.build import exclude_paths

DIRECTIVES = ("FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")


@dataclass
class Stage:
    """One stage: its base, and its instructions in order."""

    base: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def last(self, directive: str) -> list[str]:
        """The words of the last instruction of this kind in its JSON form."""
        [*_, text] = [text for kind, text in self.instructions if kind == directive]
        return [str(word) for word in json.loads(text)]


def parse_dockerfile(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Raises ValueError for what this parser does not know."""
    stages: list[Stage] = []
    # A comment may stand between continued lines.
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\[ \t]*\n", "", "\n".join(lines)).splitlines():
        directive, _, rest = line.strip().partition(" ")
        if directive not in DIRECTIVES or "<<" in rest or "$" in rest.partition("#")[0] and directive == "COPY":
            raise ValueError(f"not understood: {line}")
        if directive == "FROM":
            base, *alias = rest.split()
            if alias and alias[0].upper() != "AS":
                raise ValueError(f"not understood: {line}")
            stages.append(Stage(base, alias[1] if alias else None))
        else:
            stages[-1].instructions.append((directive, rest.strip()))
    return stages


def list_context(project: Path) -> set[str]:
    """The files that are sent to the builder, by docker's own reading of .dockerignore."""
    lines = (project / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = exclude_paths(str(project), patterns, dockerfile="Dockerfile")
    return {name for name in found if (project / name).is_file()}


def build_tree(stage: Stage, context: set[str]) -> dict[str, str]:
    """Path in the image: path in the context, of each file that the stage copies.

    Raises ValueError for a source that does not reach the builder, which `docker build` refuses.
    """
    tree: dict[str, str] = {}
    workdir = PurePosixPath("/")
    for directive, text in stage.instructions:
        if directive == "WORKDIR":
            workdir /= text
        elif directive == "RUN":
            for lock in re.findall(r"pip install\b.*?-r (\S+)", text):
                if str(workdir / lock) not in tree:
                    raise ValueError(f"RUN {text}: {workdir / lock} is not in the image")
        elif directive == "COPY":
            *sources, target = shlex.split(text)
            for source in sources:
                copied = _copy(source, target, len(sources) > 1, context)
                if not copied:
                    raise ValueError(f"COPY {source}: does not reach the builder")
                tree |= {str(workdir / inner): name for inner, name in copied.items()}
    return tree


def _copy(source: str, target: str, several: bool, context: set[str]) -> dict[str, str]:
    name = source.removeprefix("./").rstrip("/")
    if name in context:
        into_folder = target.endswith("/") or several
        return {str(PurePosixPath(target) / PurePosixPath(name).name) if into_folder else target: name}
    # A folder's content, not the folder itself.
    return {
        str(PurePosixPath(target) / inner.removeprefix(f"{name}/")): inner
        for inner in context
        if inner.startswith(f"{name}/")
    }
