"""Train in SageMaker, and download the run directory as if train.py had written it here.

python -m fer.cloud.train [RUN_OR_YAML] [key=value …] aws.bucket=BUCKET aws.role=ROLE_ARN aws.training.image=IMAGE
    a run.yaml, or what train.py would do with these overrides (experiment=… dataset.sources.….root=…), as a job
python -m fer.cloud.train … aws.training.spot=true aws.training.instance_type=ml.g5.xlarge
    on spot instances; an interrupted training goes on exactly where it was
python -m fer.cloud.train --attach JOB aws.bucket=BUCKET
    waits for the job again after a lost terminal
python -m fer.cloud.train … dry_run=true
    prints every request to AWS as JSON, and sends none
"""

import argparse
import logging
import sys
from dataclasses import dataclass

from fer.core.extras import require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.runs.program import user_errors_to_exit_code


@dataclass(frozen=True)
class CommandLine:
    """A command line of fer.cloud.train or fer.cloud.tune.

    Args:
        run: Run directory or run.yaml, None where there is none.
        overrides: Overrides of its configuration, or of the defaults.
        attach: Name of the job to wait for again, None for a new one.
    """

    run: str | None
    overrides: list[str]
    attach: str | None


def parse_command_line(program: str, description: str) -> CommandLine:
    """Parse the arguments of this process, and start logging to standard error."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="RUN_OR_YAML|key=value", help="a run, and overrides as of train.py"
    )
    parser.add_argument("--attach", metavar="JOB", help="wait for a job that was sent before")
    args = parser.parse_intermixed_args()
    runs = [text for text in args.arguments if "=" not in text]
    if len(runs) > 1 or (runs and args.attach):
        parser.error(f"{runs[-1]}: one run at a time, and none beside --attach")
    overrides = [text for text in args.arguments if "=" in text]
    # Standard output is for the job's log, and for the requests of a dry run.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return CommandLine(runs[0] if runs else None, overrides, args.attach)


def main() -> None:
    """Train in SageMaker, or wait for a job again."""
    args = parse_command_line(get_program_name("python -m fer.cloud.train"), format_documentation(__doc__))
    with user_errors_to_exit_code():
        require_packages("boto3", "sagemaker", purpose="SageMaker")
        from fer.cloud.job_spec import parse_job_spec
        from fer.cloud.training import attach, train

        if args.attach:
            attach(args.attach, args.overrides)
        else:
            train(parse_job_spec(args.run, args.overrides))


if __name__ == "__main__":
    main()
