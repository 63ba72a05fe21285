"""Label faces by models, by DeepFace, or by both, and see how far they agree.

python infer.py extraction.input=photographs/ extraction.save=dataset extraction.faces=all extraction.stages=[extract]
    first the faces of photographs, as a data set
python -m fer.annotate RUN
    labels by the model that comes with the program; RUN is that run of infer.py, or any folder of pictures of faces
python -m fer.annotate RUN 'by=[MODEL,[A,B],deepface]' deepface.environment=DIR
    by a model, by an ensemble and by DeepFace, with their agreement
python -m fer.annotate resume=RUN
    goes on where a killed run stopped
"""

import re
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from fer.config.annotation import Annotation
from fer.config.compose import load_config, load_overrides, refuse_executable_yaml
from fer.core.installation import CONF
from fer.errors import ConfigError
from fer.runs.program import get_overrides, get_run_directory, run_program, user_errors_to_exit_code
from fer.runs.run_directory import remove_if_empty, return_to_directory
from fer.runs.short_arguments import expand_words, parse_options

# Hydra would take the name of this file.
JOB_NAME = "hydra.job.name=annotate"
KEYS = re.compile(rf"({'|'.join(Annotation.model_fields)})(\.\w+)?=")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> None:
    """Annotate with the configuration that Hydra has composed."""
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        config = load_config(composed, "annotate")
        # What follows needs pandas and OpenCV, which take a second.
        from fer.annotate.pipeline import annotate, resume

        if config.resume is None:
            code = annotate(config, run_directory)
        else:
            saved = Path(config.resume)
            remove_if_empty(run_directory)
            refuse_executable_yaml(["--config-dir", str(saved)])
            changes = [text for text in get_overrides() if not text.startswith("resume=")]
            resumed = load_overrides(changes, "annotate", saved)
            return_to_directory(saved)
            code = resume(resumed, saved)
    if code:
        sys.exit(code)


def expand_arguments(arguments: list[str]) -> list[str]:
    """Return the command line as Hydra takes it.

    Args:
        arguments: Options of Hydra, overrides, keys of the section `annotation` without its name, and the faces.

    Raises:
        ConfigError: Faces are named twice, or a sweep is asked for.
    """
    options = parse_options(arguments)
    if options.multirun:
        raise ConfigError("--multirun: one run takes several annotators; use by=[A,B]")
    inputs = [word for word in options.overrides if "=" not in word or Path(word).exists()]
    if len(inputs) > 1:
        raise ConfigError(f"{' and '.join(inputs)}: name one folder of faces; each is labelled by a run of its own")

    def expand(word: str) -> str:
        if word in inputs:
            return f"annotation.input={word}"
        return f"annotation.{word}" if KEYS.match(word) else word

    return expand_words(arguments, JOB_NAME, expand)


def run() -> None:
    """Annotate as the command line says."""
    run_program(main, expand_arguments)


if __name__ == "__main__":
    run()
