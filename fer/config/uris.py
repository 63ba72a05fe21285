"""Addresses in the configuration, which run directories keep and hand on."""

import re


def without_password(uri: str) -> str:
    """The URI itself. Raises ValueError where it holds a password: run directories get passed from hand to hand."""
    if re.search(r"://[^/@]*:[^/@]*@", uri):
        raise ValueError(
            "must not hold a password: run files would keep it; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or the variables of the database, in the environment"
        )
    return uri
