"""Extract the faces of many videos in S3 on many machines at the same time: a processing job of SageMaker.

python -m fer.cloud.extract extraction.input=s3://BUCKET/videos/ aws=sagemaker aws.bucket=BUCKET aws.role=ROLE_ARN
    aws.processing.image=IMAGE aws.processing.instance_count=4
    or extraction.study=study.yaml, whose recordings are objects of one bucket; only those with consent are sent
    other overrides as for infer.py; leaves the run directory that infer.py extraction.stages=[extract] would leave
python infer.py resume=RUN 'extraction.stages=[predict,report]' model_uri=MODEL
    classifies the faces and writes tables and page
python -m fer.cloud.extract resume=RUN
    waits for the job again after a lost terminal, and extracts what a failed one has left
python -m fer.cloud.extract … dry_run=true
    prints every request to AWS as JSON, and sends none
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from fer.config.compose import CONF, load_config
from fer.runs.program import get_overrides, get_run_directory, run_program, user_errors_to_exit_code
from fer.runs.run_directory import redirect_log, remove_if_empty


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> None:
    """Extract, resume or rehearse, as the configuration says."""
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        config = load_config(composed, "infer")
        if config.dry_run:
            from fer.cloud.extraction import dry_run

            remove_if_empty(run_directory)
            dry_run(config)
            return
        from fer.cloud.extraction import extract, resume

        if config.resume is None:
            code = extract(config, run_directory)
        else:
            remove_if_empty(run_directory)
            redirect_log(Path(config.resume))
            changes = [text for text in get_overrides() if not text.startswith("resume=")]
            code = resume(changes, Path(config.resume))
    if code:
        sys.exit(code)


if __name__ == "__main__":
    run_program(main)
