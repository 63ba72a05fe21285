"""One batch shared by several processes: what depends on the whole of it comes out as in a single process.

These are the statistics of batch norm, the masks of dropout, and the figures of all validation images. A
``share`` is (start, stop, count): rows start…stop of the ``count`` images of the whole batch are this process's own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Share = tuple[int, int, int]


def processes() -> int:
    """How many processes train together; 1 outside of a group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_of_all(values: Tensor) -> None:
    """Replace ``values`` by their sum over all processes."""
    if processes() > 1:
        dist.all_reduce(values)


def of_all(own: Sequence[Tensor], shares: Sequence[Share]) -> Tensor:
    """The rows of all processes in the order in which a single one has them.

    ``own`` holds this process's rows of every batch, ``shares`` where they belong.
    """
    if processes() == 1:
        return torch.cat(list(own))
    whole = own[0].new_zeros(sum(count for _, _, count in shares), *own[0].shape[1:])
    first = 0
    for rows, (start, stop, count) in zip(own, shares, strict=True):
        whole[first + start : first + stop] = rows[: stop - start]
        first += count
    # Every row is 0 in all processes but one.
    dist.all_reduce(whole)
    return whole


class WholeBatch(TorchFunctionMode):
    """Within it, training-mode batch norm and dropout work as if the whole batch were here.

    It stands in for the functions that every architecture ends up in, so no module is exchanged: the network's
    keys, frozen batch norms and what is saved stay as they are. The generators of all processes must be in one state.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.start, self.stop, self.count = share
        self.stand_ins: dict[Callable[..., Any], Callable[..., Any]] = {
            F.batch_norm: self.batch_norm,
            F.dropout: self.dropout,
            Tensor.bernoulli_: self.bernoulli_,
        }

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self.stand_ins.get(function, function)(*args, **(kwargs or {}))

    def batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        # Without running statistics it is no batch that is normalised: some architectures so standardise weights.
        if not training or running_mean is None or running_var is None:
            return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        pixels = input[0, 0].numel()
        own, total = (self.stop - self.start) * pixels, self.count * pixels
        mean, var = mean_and_variance(input.detach(), own)
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (total / max(total - 1, 1)), momentum)
        return Normalised.apply(input, weight, bias, mean, var, eps, total, own > 0)

    def dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0 or not self.holds(input):
            return F.dropout(input, p, training, inplace)
        ones = torch.ones_like(input[:1]).expand(self.count, *input.shape[1:])
        return input * F.dropout(ones.contiguous(memory_format=memory_format(input)), p)[self.start :][: len(input)]

    def bernoulli_(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # timm's stochastic depth draws so.
        if not self.holds(tensor):
            return tensor.bernoulli_(*args, **kwargs)
        whole = tensor.new_empty(self.count, *tensor.shape[1:]).bernoulli_(*args, **kwargs)
        return tensor.copy_(whole[self.start :][: len(tensor)])

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor has a row for each image here: one where none of the batch is this process's own."""
        return tensor.ndim > 0 and len(tensor) == max(self.stop - self.start, 1)


def memory_format(tensor: Tensor) -> torch.memory_format:
    """A mask is drawn in the order of memory."""
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def mean_and_variance(input: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) float32 or wider of all processes' ``input`` (N, C, …).

    ``number`` values of each channel count here; with 0 this process only takes part.
    """
    values = input if input.dtype == torch.float64 else input.float()
    mean, var = torch.batch_norm_update_stats(values, None, None, 0.0)
    own = torch.stack((torch.full_like(mean, number), mean, var))
    parts = [torch.empty_like(own) for _ in range(processes())]
    dist.all_gather(parts, own)
    numbers, means, variances = torch.stack(parts, 1)
    shares = numbers / numbers.sum(0)
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0)


class Normalised(torch.autograd.Function):
    """Batch norm by statistics of a batch that several processes share.

    ``total`` values of each channel made them; ``counted`` says whether those of this process were among them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        eps: float,
        total: int,
        counted: bool,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, mean, var)
        ctx.eps, ctx.total, ctx.counted = eps, total, counted
        return F.batch_norm(input, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, var = ctx.saved_tensors
        # As if the statistics were constants; their own part is subtracted below.
        grad_input, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, input, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack((grad_bias, grad_weight))
        dist.all_reduce(sums)
        affine = (None, None) if weight is None else (grad_weight, grad_bias)
        if ctx.counted:
            deviation = (var + ctx.eps).rsqrt()
            scale = deviation if weight is None else deviation * weight
            constant, slope = sums * scale / ctx.total
            shape = (1, -1, *[1] * (input.ndim - 2))
            centred = input.to(mean.dtype) - mean.view(shape)
            corrected = grad_input.to(mean.dtype).sub_(constant.view(shape))
            grad_input = corrected.addcmul_(centred, (slope * deviation).view(shape), value=-1).to(input.dtype)
        return grad_input, *affine, None, None, None, None, None
