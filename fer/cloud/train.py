"""Train in SageMaker, and have the run directory here as if train.py had done it.

python -m fer.cloud.train [RUN_OR_YAML] [key=value …] aws.bucket=BUCKET aws.role=ROLE_ARN aws.training.image=IMAGE
    a run.yaml, or what train.py would do with these overrides (experiment=… dataset.sources.….root=…), as a job
python -m fer.cloud.train … aws.training.spot=true aws.training.instance_type=ml.g5.xlarge
    on spot instances, which go on exactly where they were interrupted
python -m fer.cloud.train --attach JOB aws.bucket=BUCKET
    waits for the job again after a lost terminal
python -m fer.cloud.train … dry_run=true
    prints every request to AWS as JSON, and sends none
"""

import argparse
import logging
import sys
from dataclasses import dataclass

from fer.cli import reported


@dataclass(frozen=True)
class Asked:
    """A command line: a run directory or run.yaml, or neither; overrides; and the job to wait for again."""

    run: str | None
    overrides: list[str]
    attach: str | None


def command_line(program: str, description: str | None) -> Asked:
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("given", nargs="*", metavar="RUN_OR_YAML|key=value", help="a run, and overrides as of train.py")
    parser.add_argument("--attach", metavar="JOB", help="wait for a job that was sent before")
    arguments = parser.parse_intermixed_args()
    runs = [text for text in arguments.given if "=" not in text]
    if len(runs) > 1 or (runs and arguments.attach):
        parser.error(f"{runs[-1]}: one run at a time, and none beside --attach")
    overrides = [text for text in arguments.given if "=" in text]
    # Standard output is for the job's log, and for the requests of a dry run.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return Asked(runs[0] if runs else None, overrides, arguments.attach)


def main() -> None:
    asked = command_line("python -m fer.cloud.train", __doc__)
    with reported():
        from fer.cloud.training import attach, ordered, train

        if asked.attach:
            attach(asked.attach, asked.overrides)
        else:
            train(ordered(asked.run, asked.overrides))


if __name__ == "__main__":
    main()
