"""Where Hydra looks for the sweeper of `hydra/sweeper=optuna`: plugins must stand below ``hydra_plugins``."""

from fer.optuna_sweeper import OptunaSweep


class OptunaSweeper(OptunaSweep):
    """See fer.optuna_sweeper."""
