"""Jobs of a sweep are composed once for all, and are what Hydra would compose of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf

from fer.core.installation import CONF
from fer.sweep.composition import ComposeOnceLoader
from fer.sweep.grid_sweeper import list_grid_jobs
from tests.helpers.paths import PROJECT

JOBS = (
    ["optimizer.lr=1e-3", "seed=1"],
    ["seed=2", "optimizer.lr=5e-4", "model=resnet50", "name='a b'"],
    ["optimizer.lr=1e-2", "model=resnet50", "+dataset.augment.plugins.x={a:1}", "trainer.stages=[fit]"],
    ["dataset=ferplus", "dataset.sources.ferplus.root=${name}", "~optimizer.weight_decay", "tracker.mlflow=null"],
    ["seed=5", "++seed=6", "optimizer.lr=1", "+optimizer.options.a=2", "optimizer.lr=2", "~model.drop_rate"],
    ["experiment=sweep_lr", "seed=3", "++seed=4", "model.teacher=[a,b]"],
)


def to_plain(config: DictConfig) -> Any:
    plain: Any = OmegaConf.to_container(config, resolve=False)
    # A name for directories, of which the sweep makes no use.
    del plain["hydra"]["job"]["override_dirname"]
    return plain


def open_sweep() -> tuple[ConfigLoader, DictConfig]:
    config = compose("config", ["trainer=cpu"], return_hydra_config=True)
    config.hydra.job.config_name = "config"
    loader = GlobalHydra.instance().config_loader()
    assert loader is not None
    return loader, config


def test_a_job_is_what_hydra_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
        hydra_loader, config = open_sweep()
        loader = ComposeOnceLoader(hydra_loader)
        for _ in range(2):
            for job in JOBS:
                expected = to_plain(hydra_loader.load_sweep_config(config, job))
                assert to_plain(loader.load_sweep_config(config, job)) == expected
        composed: list[Sequence[str]] = []
        load = type(hydra_loader).load_sweep_config
        monkeypatch.setattr(
            type(hydra_loader), "load_sweep_config", lambda self, *job: composed.append(job) or load(self, *job)
        )
        for seed in range(5):
            loader.load_sweep_config(config, [f"seed={seed}", "model=resnet50"])
        assert len(composed) == 0
        with pytest.raises(ConfigCompositionException):
            loader.load_sweep_config(config, ["seed=1", "optimizer.lrr=1"])


def test_a_grid_has_every_combination() -> None:
    assert list_grid_jobs(["a=1,2", "b=range(0,2)", "c=x", "a=3,4", "+d=[1]", "e='x,y'"]) == [
        ["a=3", "b=0", "c=x", "+d=[1]", "e='x,y'"],
        ["a=3", "b=1", "c=x", "+d=[1]", "e='x,y'"],
        ["a=4", "b=0", "c=x", "+d=[1]", "e='x,y'"],
        ["a=4", "b=1", "c=x", "+d=[1]", "e='x,y'"],
    ]
    assert list_grid_jobs([]) == [[]]
    with pytest.raises(HydraException, match="does not support sweep type"):
        list_grid_jobs(["a=interval(0,1)"])


def test_sweeps_use_nothing_private_of_hydra() -> None:
    files = [*(PROJECT / "fer" / "sweep").glob("*.py"), *(PROJECT / "hydra_plugins").glob("*.py")]
    assert [path.name for path in files if "_internal" in path.read_text(encoding="utf-8")] == []


def test_the_launcher_of_joblib_has_its_own_keys_and_preload(tmp_path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
        config = compose("config", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], return_hydra_config=True)
        assert (config.hydra.launcher.n_jobs, config.hydra.launcher.preload) == (2, False)
        assert config.hydra.launcher._target_ == "hydra_plugins.fer_launchers.FerJoblibLauncher"


def test_the_launchers_own_keys_are_there_again_after_hydra_has_imported_its_plugins_anew() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
        compose("config", ["hydra/launcher=joblib"])
    # As Hydra does before each job of joblib, and after each test of whoever uses its fixture for pytest.
    Singleton.set_state(Singleton.get_state())
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
        compose("config", ["hydra/launcher=joblib"])
    # Asked of the store: the tests keep what they have composed.
    assert "preload" in ConfigStore.instance().load("hydra/launcher/joblib.yaml").node
