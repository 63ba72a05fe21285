"""Train a facial-expression classifier and judge it.

python train.py
    trains on drawn faces: nothing to download, about three minutes on two cores
python train.py experiment=ferplus dataset.sources.ferplus.root=ferplus.zip model.weights=FILE
    our recipe on FERPlus, from ImageNet weights in a local file
python train.py -m model=mobilenetv2_050,mobilenetv2_100 optimizer.lr=1e-3,5e-4 seed=0,1,2
    a sweep: one run a combination
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer.config.load import load
from fer.program import reported, run_program


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(composed: DictConfig) -> float | None:
    run_directory = Path(HydraConfig.get().runtime.output_dir)
    with reported(run_directory):
        config = load(composed)
        # PyTorch takes seconds to import; a mistake above is answered before.
        from fer.training import train

        return train(config, run_directory)


if __name__ == "__main__":
    run_program(main)
