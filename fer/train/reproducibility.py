"""What must be the same for a training to give the same figures: threads and random generators."""

import random

import numpy as np
import torch

from fer.core.system import resolve_thread_count


def set_threads(threads: int | None, processes: int = 1) -> int:
    """Let PyTorch use so many CPU threads, or its share of the cores as one of ``processes``; returns the number."""
    count = threads or max(resolve_thread_count(None) // processes, 1)
    torch.set_num_threads(count)
    return count


def seed_everything(seed: int) -> None:
    """Seed every global random generator; the data's own draws have generators of their own."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
