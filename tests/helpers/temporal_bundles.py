"""Small temporal models that nobody trained, whose answers depend on the window."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.emotions import EMOTIONS
from fer.models.clip_format import Position, TemporalFormat
from fer.models.temporal_network import TemporalNetwork
from tests.helpers.networks import SMALL, faces, one_thread
from tests.helpers.served_runs import FACTS

LENGTH, STEP_S = 5, 0.125


def build_temporal_network(position: Position = "causal") -> TemporalNetwork:
    """A small encoder and a GRU over five frames, with logits of the size of 1 that differ from window to window."""
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(1)
        window = TemporalFormat("temporal", LENGTH, STEP_S, position, "gru", hidden=16, layers=1)
        network = TemporalNetwork(SMALL, len(EMOTIONS), 48, 0.0, window)
        for parameter in network.body.encoder.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
        clips = torch.from_numpy(faces(16 * LENGTH, 48).reshape(16, LENGTH, 48, 48, 3))
        mask = torch.ones(16, LENGTH, dtype=torch.bool)
        with torch.no_grad():
            for _ in range(10):
                network(clips, mask)
            logits = network.eval()(clips, mask)
            network.body.classifier.weight.mul_(1.5 / logits.std())
            network.body.classifier.bias.copy_(torch.from_numpy(np.linspace(-0.5, 0.5, len(EMOTIONS))))
    return network


def write_temporal_bundle(folder: Path, position: Position = "causal") -> Path:
    """``folder``, as a run with such a model."""
    network = build_temporal_network(position)
    save_bundle(folder / "bundle", network, build_description(network, EMOTIONS, FaceFormat(48, False), 1.5, FACTS))
    return folder
