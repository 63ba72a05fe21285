"""`python -m fer …` is the command `fer …`."""

import sys

from fer.cli import main

sys.exit(main())
