"""Pipelines of SageMaker: what the other commands do one after the other, as one definition that can be started again.

python -m fer.cloud.pipeline batch model_uri=models:/NAME@champion extraction.input=s3://BUCKET/videos/
    aws.bucket=BUCKET aws.role=ROLE_ARN aws.processing.image=IMAGE
    extract → transform → monitor, with overrides as of infer.py; each execution may name other videos
python -m fer.cloud.pipeline training [RUN_OR_YAML] experiment=ferplus aws.bucket=BUCKET aws.role=ROLE_ARN
    aws.training.image=IMAGE aws.processing.image=IMAGE aws.image=IMAGE
    train → evaluate → register, with overrides as of train.py
python -m fer.cloud.pipeline … --out FILE
    writes the definition into a file, too
python -m fer.cloud.pipeline … dry_run=true
    prints every request to AWS as JSON, and sends none
"""

import argparse
import logging
import sys
from pathlib import Path

from fer.core.extras import require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.runs.program import user_errors_to_exit_code


def main() -> None:
    """Create a pipeline, or change it into what the command line says."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.cloud.pipeline"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=("batch", "training"), help="which pipeline")
    parser.add_argument("arguments", nargs="*", metavar="RUN_OR_YAML|key=value", help="a run, and overrides")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the definition into this file, too")
    args = parser.parse_intermixed_args()
    runs = [text for text in args.arguments if "=" not in text]
    if len(runs) > (args.kind == "training"):
        parser.error(f"{runs[-1]}: {'one run at a time' if args.kind == 'training' else 'is no key=value'}")
    overrides = [text for text in args.arguments if "=" in text]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with user_errors_to_exit_code():
        require_packages("boto3", "sagemaker", purpose="SageMaker")
        from fer.cloud.pipeline_definitions import create_batch_pipeline, create_training_pipeline

        if args.kind == "batch":
            create_batch_pipeline(overrides, args.out)
        else:
            create_training_pipeline(runs[0] if runs else None, overrides, args.out)


if __name__ == "__main__":
    main()
