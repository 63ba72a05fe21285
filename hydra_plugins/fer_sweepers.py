"""Where Hydra looks for the sweepers of conf/hydra/sweeper: plugins must stand below ``hydra_plugins``."""

from fer.sweep.grid_sweeper import BaseGridSweeper
from fer.sweep.optuna_sweeper import BaseOptunaSweeper


class GridSweeper(BaseGridSweeper):
    """See fer.sweep.grid_sweeper."""


class OptunaSweeper(BaseOptunaSweeper):
    """See fer.sweep.optuna_sweeper."""
