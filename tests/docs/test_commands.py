"""Every command that README and documentation show is one that exists, and its overrides are understood."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.documented_commands import check_command, iter_commands, lay_out
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(PROJECT)) for p in PROJECT.glob("docs/**/*.md"))]


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        lay_out(directory)
        yield directory


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_understood(page: str) -> None:
    wrong = []
    for command in dict.fromkeys(iter_commands((PROJECT / page).read_text(encoding="utf-8"))):
        try:
            check_command(command)
        except Exception as error:
            wrong.append(f"{command}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
