"""Export a model for other programs: faces in, calibrated probabilities out, checked against the model itself.

python -m fer.export RUN
    model.onnx, which needs nothing but ONNX Runtime; RUN is any model, the one that comes with the program unless given
python -m fer.export RUN 'format=[onnx,torchscript,exported_program,openvino]'
    several formats, with a table of size, time, largest difference and accuracy
python -m fer.export RUN format=onnx quantize=int8 dataset=ferplus dataset.sources.ferplus.root=ferplus.zip
    in 8 bits, calibrated and judged on images of that data set instead of drawn faces; refused where it loses too much
"""

import re
from pathlib import Path

import hydra
from omegaconf import DictConfig

from fer.config import Config
from fer.config.compose import load_config
from fer.config.export import Export
from fer.core.extras import require_packages
from fer.core.installation import CONF
from fer.errors import ConfigError
from fer.runs.program import get_run_directory, run_program, user_errors_to_exit_code
from fer.runs.short_arguments import expand_words, parse_options

# Hydra would take the name of this file.
JOB_NAME = "hydra.job.name=export"
KEYS = re.compile(rf"({'|'.join(Export.model_fields)})=")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> None:
    """Export with the configuration that Hydra has composed."""
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        config = load_config(composed, "export")
        from fer.train.preconditions import refuse_before_start

        with refuse_before_start():
            _check_packages(config)
            # What follows needs pandas and OpenCV, which take a second.
            from fer.registry.resolve import check_model_is_there
            from fer.train.inputs import read_sources

            check_model_is_there(config)
            sources = read_sources(config)
        # PyTorch takes seconds to import; a mistake above is reported before.
        from fer.export.pipeline import export_model

        export_model(config, run_directory, sources)


def _check_packages(config: Config) -> None:
    if "openvino" in config.export.format:
        require_packages("openvino", purpose="export.format=openvino")
        if config.export.quantize != "none":
            require_packages("nncf", purpose="export.quantize=int8 with export.format=openvino")


def expand_arguments(arguments: list[str]) -> list[str]:
    """Return the command line as Hydra takes it.

    Args:
        arguments: Options of Hydra, overrides, keys of the section `export` without its name, and a model.

    Raises:
        ConfigError: Two models are named, or a sweep is asked for.
    """
    options = parse_options(arguments)
    if options.multirun:
        raise ConfigError("--multirun: one export writes several formats; use format=[onnx,openvino]")
    models = [word for word in options.overrides if "=" not in word or Path(word).exists()]
    named = [*models, *(word for word in options.overrides if word.startswith("model_uri="))]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(named)}: name one model; each is exported by a command of its own")

    def expand(word: str) -> str:
        if word in models:
            return f"model_uri={word}"
        return f"export.{word}" if KEYS.match(word) else word

    return expand_words(arguments, JOB_NAME, expand)


def run() -> None:
    """Export a model as the command line says."""
    run_program(main, expand_arguments)


if __name__ == "__main__":
    run()
