"""What must be the same for a training to give the same metrics: threads and random generators."""

import os
import random

import numpy as np
import torch

from fer.core.system import resolve_thread_count


def set_threads(threads: int | None, processes: int = 1) -> int:
    """Set the number of PyTorch's CPU threads.

    Args:
        threads: The number; None divides the cores among the processes.
        processes: Processes on this machine that train together.

    Returns:
        The number of threads.
    """
    count = threads or max(resolve_thread_count(None) // processes, 1)
    torch.set_num_threads(count)
    if processes > 1:
        # Without it Lightning would set a number of its own.
        os.environ["OMP_NUM_THREADS"] = str(count)
    return count


def seed_everything(seed: int) -> None:
    """Seed the global random generators of Python, NumPy and PyTorch; the data's draws have generators of their own."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
