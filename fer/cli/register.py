"""Register a trained model: package it, check the package, evaluate it, keep it as a version; choose what is in use.

python register.py model_uri=RUN
    a version in the local registry (outputs/registry); the first one that is approved becomes the champion
python register.py registry.action=list
    the versions; also show, promote and rollback, of registry.version=N
python register.py model_uri=RUN aws=sagemaker aws.bucket=BUCKET aws.image=IMAGE
    the same in SageMaker Model Registry; dry_run=true prints the requests instead
python register.py registry.action=deploy registry.deploy.target=sagemaker aws=sagemaker aws.bucket=BUCKET aws.role=ARN
    an endpoint that serves the champion; also serverless, async and cloudrun; registry.action=undeploy deletes it
"""

import sys

import hydra
from omegaconf import DictConfig

from fer.config.compose import load_config
from fer.core.installation import CONF
from fer.runs.program import get_run_directory, run_program, user_errors_to_exit_code


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(composed: DictConfig) -> None:
    """Run register.py with the configuration that Hydra has composed."""
    run_directory = get_run_directory()
    with user_errors_to_exit_code(run_directory):
        config = load_config(composed, "register")
        if config.registry.concerns_endpoint:
            from fer.cloud.deployment import run_deployment as run_action
        else:
            from fer.registry.pipeline import run_action

        code = run_action(config, run_directory)
    if code:
        sys.exit(code)


def run() -> None:
    """Register a model as the command line says."""
    run_program(main)


if __name__ == "__main__":
    run()
