"""What a network costs: parameters, multiply-accumulates, milliseconds."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from featkd.errors import ModelError, UsageError

InputShape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one forward pass of one clip costs.

    Attributes:
        parameters: numbers in the parameters, shared ones counted once.
        macs: multiply-accumulates of convolutions and matrix products. Biases, normalisation,
            activations and pooling are not counted.
        macs_by_layer: those of each named layer itself, without the layers inside it, in the order
            of ``named_modules``; layers that multiply nothing are left out. Products computed by
            the model's own ``forward`` appear under an empty name.
    """

    parameters: int
    macs: int
    macs_by_layer: dict[str, int]

    @property
    def gmac(self) -> float:
        """Multiply-accumulates in units of 10⁹."""
        return self.macs / 1e9

    def to_json(self) -> dict[str, object]:
        """Return the fields and ``gmac``, ready for ``json.dumps``."""
        return {**asdict(self), "gmac": self.gmac}


def measure_cost(model: nn.Module, input_shape: InputShape) -> Cost:
    """Count parameters and multiply-accumulates of a model in evaluation mode, batch of one.

    The forward pass runs on tensors of the meta device, which have shapes and no data: nothing is
    computed, a full-size network takes no more memory than a tiny one, and the model stays where
    it is.

    Args:
        model: takes a batch of clips (B, C, T, H, W).
        input_shape: (C, T, H, W).

    Raises:
        ModelError: the forward pass fails for this shape, or on tensors without data.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes_only = {name: tensor.detach().to("meta") for name, tensor in state.items()}
    clip = torch.empty(1, *input_shape, dtype=_input_dtype(model), device="meta")
    counter = FlopCounterMode(display=False)
    with _evaluating(model), torch.no_grad(), counter:
        try:
            functional_call(model, shapes_only, (clip,))
        except (RuntimeError, NotImplementedError, ValueError) as error:
            raise ModelError(
                f"cost of {type(model).__name__} cannot be counted for input shape "
                f"{input_shape}, expected (C, T, H, W) and a forward pass that runs on the meta "
                f"device: {error}"
            ) from error

    flops = {name: sum(by_op.values()) for name, by_op in counter.get_flop_counts().items()}
    root = type(model).__name__
    macs_by_layer = {}
    for name, module in model.named_modules():
        path = f"{root}.{name}" if name else root
        inside = sum(flops.get(f"{path}.{child}", 0) for child, _ in module.named_children())
        # The counter books a multiply-accumulate as two operations.
        own = (flops.get(path, 0) - inside) // 2
        if own:
            macs_by_layer[name] = own
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=counter.get_total_flops() // 2,
        macs_by_layer=macs_by_layer,
    )


def measure_latency(
    model: nn.Module, input_shape: InputShape, *, num_runs: int = 20, num_warmup_runs: int = 3
) -> float:
    """Time forward passes of one random clip on the device the model is on.

    Args:
        model: takes a batch of clips (B, C, T, H, W).
        input_shape: (C, T, H, W).
        num_runs: how many passes are timed, one by one.
        num_warmup_runs: how many passes go before, untimed.

    Returns:
        The median in milliseconds.

    Raises:
        UsageError: ``num_runs`` is below 1 or ``num_warmup_runs`` below 0.
    """
    if num_runs < 1 or num_warmup_runs < 0:
        raise UsageError(
            f"num_runs is {num_runs} and num_warmup_runs {num_warmup_runs}; "
            "expected at least 1 and at least 0"
        )
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    clip = torch.randn(1, *input_shape, dtype=_input_dtype(model), device=device)
    times_ms = []
    with _evaluating(model), torch.inference_mode():
        for _ in range(num_warmup_runs):
            model(clip)
        for _ in range(num_runs):
            _wait_for(clip)
            start_sec = time.perf_counter()
            model(clip)
            _wait_for(clip)
            times_ms.append((time.perf_counter() - start_sec) * 1000)
    return statistics.median(times_ms)


def _input_dtype(model: nn.Module) -> torch.dtype:
    floating = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(floating, torch.float32)


def _wait_for(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and each back into the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
