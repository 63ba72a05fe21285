"""Options of Hydra that do not go together are refused in a sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from fer.errors import ConfigError
from fer.runs.hydra_options import check_hydra_options
from tests.helpers.paths import PROJECT

SWEEP = "is about one run, not a sweep; leave --multirun (-m) out and give each key one value"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("-m seed=0,1 --cfg job", f"--multirun and --cfg: cannot be given together; --cfg {SWEEP}"),
        ("--multirun -c all", f"--multirun and --cfg: cannot be given together; --cfg {SWEEP}"),
        ("--cfg=hydra seed=0,1 -m", f"--multirun and --cfg: cannot be given together; --cfg {SWEEP}"),
        ("-m --info", f"--multirun and --info: cannot be given together; --info {SWEEP}"),
        ("--run --cfg job", "--run and --cfg: cannot be given together; leave all but one out"),
        ("--cfg job --info config", "--cfg and --info: cannot be given together; leave all but one out"),
        ("--resolve", "--resolve: shows values in place of ${…} and needs --cfg; add --cfg job"),
        ("-m seed=0,1 --resolve", "--resolve: shows values in place of ${…} and needs --cfg; add --cfg job"),
        ("--cfg all --resolve", "--cfg all --resolve: Hydra's own keys get their values when a run begins;"),
        ("-sc", "--shell-completion: allowed are install=SHELL and uninstall=SHELL; SHELL is bash, fish, zsh"),
        ("--shell-completion install=csh", "--shell-completion install=csh: allowed are install=SHELL and"),
        ("-sc install=bash uninstall=bash", "--shell-completion install=bash uninstall=bash: allowed are"),
        ("-sc query=bash", "--shell-completion query: is what a shell asks"),
        ("--experimental-rerun config.pickle", "--experimental-rerun: reads a pickle, which may run anything;"),
    ],
)
def test_options_that_hydra_answers_with_a_traceback_are_refused(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    with pytest.raises(ConfigError) as caught:
        check_hydra_options(typed.split())
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "seed=1", "-m seed=0,1", "--cfg job", "--cfg job --resolve", "--cfg hydra -p hydra.run", "--info"),
        *("--info config seed=1", "-sc install=bash", "-sc uninstall=zsh", "--help -m --resolve", "--hydra-help -m"),
    ],
)
def test_what_hydra_can_answer_is_left_to_it(typed: str) -> None:
    check_hydra_options(typed.split())


@pytest.mark.slow
@pytest.mark.parametrize("program", ["train.py", "infer.py", "register.py"])
def test_programs_refuse_before_anything_is_made(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / program), "-m", "seed=0,1", "--cfg", "job"],
        **{"cwd": tmp_path, "capture_output": True, "text": True, "encoding": "utf-8", "timeout": 120},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{program}: --multirun and --cfg: cannot be given together")
    assert not list(tmp_path.iterdir())
