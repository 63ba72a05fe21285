"""`python -m fer.drawn FILE.png`, now `python -m fer.synthetic FILE.png`."""

import sys

from fer.synthetic.__main__ import main

sys.exit(main())
