"""`python -m fer.container /opt/ml`, now `python -m fer.cloud.training_container /opt/ml`."""

import sys
from pathlib import Path

from fer.cloud.training_container import main

sys.exit(main(Path(sys.argv[1])))
