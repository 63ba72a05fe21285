"""Search hyper-parameters in SageMaker, and download the runs as a sweep that python -m fer.compare reads.

python -m fer.cloud.tune experiment=sweep_optuna aws.bucket=BUCKET aws.role=ROLE_ARN aws.training.image=IMAGE
    the search space of hydra.sweeper.params, as jobs of one tuning job
python -m fer.cloud.tune [RUN_OR_YAML] 'optimizer.lr=tag(log, interval(1e-4,1e-2))' model.drop_rate=0.1,0.2 …
    a space on the command line; aws.tuning.max_jobs, max_parallel_jobs and strategy say how it is searched
python -m fer.cloud.tune --attach JOB aws.bucket=BUCKET
    waits for the job again after a lost terminal
python -m fer.cloud.tune … dry_run=true
    prints every request to AWS as JSON, and sends none
"""

from fer.cloud.train import parse_command_line
from fer.core.extras import require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.runs.program import user_errors_to_exit_code


def main() -> None:
    """Tune in SageMaker, or wait for a job again."""
    args = parse_command_line(get_program_name("python -m fer.cloud.tune"), format_documentation(__doc__))
    with user_errors_to_exit_code():
        require_packages("boto3", "sagemaker", purpose="SageMaker")
        from fer.cloud.tuning import attach, tune

        if args.attach:
            attach(args.attach, args.overrides)
        else:
            tune(args.run, args.overrides)


if __name__ == "__main__":
    main()
