"""Where Hydra looks for the sweepers of conf/hydra/sweeper: plugins must stand below ``hydra_plugins``."""

from fer.sweep.grid_sweeper import GridSweep
from fer.sweep.optuna_sweeper import OptunaSweep


class GridSweeper(GridSweep):
    """See fer.sweep.grid_sweeper."""


class OptunaSweeper(OptunaSweep):
    """See fer.sweep.optuna_sweeper."""
