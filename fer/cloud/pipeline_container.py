"""`python -m fer.cloud.pipeline_container STAGE DIRECTORY`: one step of a pipeline, in its processing job.

DIRECTORY/input/CHANNEL holds what the step is given, DIRECTORY/output/NAME becomes an output. The channel `task` holds
the run.yaml that the pipeline was made with.
"""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from fer.cloud.extraction_container import WEIGHTS
from fer.cloud.run_download import unpack_run
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.io import write_text
from fer.core.run_layout import MONITORING_JSON
from fer.errors import ExitCode
from fer.infer.inputs import load_media
from fer.infer.monitoring import publish_batch
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.infer.transform.shards import INDEX
from fer.infer.transform.stage import SHARDS, build_requests
from fer.registry.gate import evaluate_gate
from fer.registry.package import PACKAGE, build_package
from fer.registry.pipeline import run_action
from fer.registry.run_artifacts import read_run_artifacts
from fer.registry.verify_package import check_package
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import load_run_config

RESULT_JSON = "result.json"
RUN_ARCHIVE = "model.tar.gz"  # as SageMaker calls what a training job leaves
log = logging.getLogger(__name__)


def extract(directory: Path) -> int:
    """Extract the faces of all videos, and pack them as the transform job takes them.

    Outputs: `run`, the run directory; `shards`, the requests.
    """
    config = load_run_config(directory / "input" / "task", "infer")
    extraction = config.extraction.model_copy(
        update={"input": str(directory / "input" / "videos"), "stages": ("extract",)}
    )
    if (weights := directory / "input" / "task" / WEIGHTS).is_file():
        detector = extraction.detector.model_copy(update={"weights": str(weights), "weights_sha256": None})
        extraction = extraction.model_copy(update={"detector": detector})
    run = directory / "output" / "run"
    inference = config.inference.model_copy(update={"route": "transform"})
    config = config.model_copy(update={"extraction": extraction, "inference": inference})
    code = infer(config, run)
    if code not in (ExitCode.OK, ExitCode.PARTIAL):
        return code
    shards = directory / "output" / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    for request in build_requests(config, run, len(load_media(run))):
        # The job takes every object of the folder for a request, so the index stays with the run.
        shutil.move(request.path, shards / request.path.name)
    return ExitCode.OK


def monitor(directory: Path) -> int:
    """Make tables, page and monitoring.json of the answers, and send the figures to CloudWatch.

    Outputs: `run`, the finished run directory without faces; `result`, how infer.py ended.
    """
    inputs, run = directory / "input", directory / "output" / "run"
    shutil.copytree(inputs / "run", run, dirs_exist_ok=True)
    for path in [*(inputs / "shards").glob("*"), *(inputs / "answers").rglob("*.out")]:
        shutil.copyfile(path, run / SHARDS / path.name)
    saved = load_run_config(inputs / "task", "infer")
    code = resume(_build_local_config(saved, load_run_config(run, "infer"), inputs), run)
    monitoring = json.loads((run / MONITORING_JSON).read_text(encoding="utf-8"))
    publish_batch(saved, monitoring)
    _write_result(directory, {"exit_code": int(code), "warnings": monitoring["warnings"]})
    for path in (run / SHARDS).iterdir():
        if path.name != INDEX:
            path.unlink()
    return ExitCode.OK if code in (ExitCode.OK, ExitCode.PARTIAL, ExitCode.DRIFT) else code


def _build_local_config(saved: Config, extracted: Config, inputs: Path) -> Config:
    """Return the configuration by which the answers, which are all here, become tables on this machine."""
    local = load_overrides(["aws=local"], "infer").aws
    packing = {"packing": saved.aws.transform.packing, "shard_mb": saved.aws.transform.shard_mb}
    return extracted.model_copy(
        update={
            "aws": local.model_copy(update={"transform": local.transform.model_copy(update=packing)}),
            "extraction": extracted.extraction.model_copy(update={"stages": ("predict", "report")}),
            "model_uri": str(inputs / "model" / PACKAGE),
        }
    )


def evaluate(directory: Path) -> int:
    """Put a trained model through the gate's limits, packed and checked as it would be registered.

    Output: `result`, the verdict. The champion is compared with by the step register.
    """
    config = load_run_config(directory / "input" / "task", "register")
    run = directory / "run"
    unpack_run(directory / "input" / "archive" / RUN_ARCHIVE, run)
    artifacts = read_run_artifacts(run)
    build_package(artifacts.description.folder, directory / PACKAGE)
    difference = check_package(directory / PACKAGE)
    log.info("The package answers as the run does (to %.1g)", difference)
    verdict = evaluate_gate(config.registry.gate, artifacts.metrics, artifacts.table)
    log.info("%s: %s", verdict.status, " ".join(verdict.reasons))
    figures = {name: value for name, value in verdict.metrics.items() if value == value}
    _write_result(directory, {"status": verdict.status, "reasons": list(verdict.reasons), "figures": figures})
    return ExitCode.OK


def register(directory: Path) -> int:
    """Register a trained model, as register.py does. Output: `registered`, the files of the version."""
    config = load_run_config(directory / "input" / "task", "register")
    run = directory / "run"
    unpack_run(directory / "input" / "archive" / RUN_ARCHIVE, run)
    code = run_action(config.model_copy(update={"model_uri": str(run)}), directory / "output" / "registered")
    # A version that is rejected beside the champion is registered as such.
    return ExitCode.OK if code == ExitCode.PARTIAL else code


def _write_result(directory: Path, content: dict[str, object]) -> None:
    write_text(directory / "output" / "result" / RESULT_JSON, json.dumps(content, indent=2) + "\n")


STAGES: dict[str, Callable[[Path], int]] = {
    "extract": extract,
    "monitor": monitor,
    "evaluate": evaluate,
    "register": register,
}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        sys.exit(STAGES[sys.argv[1]](Path(sys.argv[2])))
