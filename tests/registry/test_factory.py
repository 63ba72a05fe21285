"""Each kind of thing that a configuration may name is in the table that it is chosen from."""

from typing import get_args

from fer.bundle.runtimes import RUNTIMES
from fer.config import LocalAws, SageMakerAws
from fer.config.inference import Inference
from fer.config.registry import Registry
from fer.registry.factory import BACKENDS
from fer.registry.pipeline import ACTIONS


def test_every_choice_of_the_configuration_is_in_its_table() -> None:
    kinds = [kind for model in (LocalAws, SageMakerAws) for kind in get_args(model.model_fields["kind"].annotation)]
    assert list(BACKENDS) == kinds
    # Endpoints have a program of their own, fer/cloud/deployment.py.
    assert {"register", "deploy", "undeploy", *ACTIONS} == set(get_args(Registry.model_fields["action"].annotation))
    assert ("auto", *RUNTIMES) == get_args(Inference.model_fields["runtime"].annotation)
