"""Where Hydra looks for the launcher of `hydra/launcher=joblib`: plugins must stand below ``hydra_plugins``."""

from fer.sweep.joblib_launcher import BaseJoblibLauncher, BaseLauncherKeys


class FerJoblibLauncher(BaseJoblibLauncher):
    """See fer.sweep.joblib_launcher."""


class LauncherKeys(BaseLauncherKeys):
    """See fer.sweep.joblib_launcher."""
