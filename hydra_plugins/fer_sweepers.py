"""Where Hydra looks for the sweepers of conf/hydra/sweeper: plugins must stand below ``hydra_plugins``."""

from fer.grid_sweeper import GridSweep
from fer.optuna_sweeper import OptunaSweep


class GridSweeper(GridSweep):
    """See fer.grid_sweeper."""


class OptunaSweeper(OptunaSweep):
    """See fer.optuna_sweeper."""
