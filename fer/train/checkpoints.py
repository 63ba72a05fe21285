"""Lightning's checkpoints and early stopping, made to survive a move into another run directory."""

import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only

from fer.core.run_layout import BEST_CKPT


class RelocatableCheckpoint(ModelCheckpoint):
    """Best or last checkpoint; a resumed run takes the best one of the run that it goes on from along."""

    @property
    def state_key(self) -> str:
        # The name under which checkpoints of earlier versions hold it.
        return super().state_key.replace(type(self).__qualname__, "Checkpoints", 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        source, directory = Path(state_dict["dirpath"]), Path(str(self.dirpath))
        # A run that goes on in its own directory has it there already.
        if source != directory and (source / BEST_CKPT).is_file():
            _copy_checkpoint(source / BEST_CKPT, directory)

        def moved(path: str) -> str:
            return str(directory / Path(path).name) if path else path

        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {key: moved(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": str(directory)})


@rank_zero_only
def _copy_checkpoint(file: Path, directory: Path) -> None:
    """Copy a file; of several processes the first one does."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, directory / file.name)


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that still knows, when a run goes on, that it had come to its end."""

    @property
    def state_key(self) -> str:
        # As above.
        return super().state_key.replace(type(self).__qualname__, "Patience", 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience
