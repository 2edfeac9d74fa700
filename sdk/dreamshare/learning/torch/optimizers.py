"""Adam, and SGD with momentum, by the functions with which `torch.optim` computes its own.

Rules:
- `torch.optim`'s classes load torch's compiler at their first step, which a device that learns has
  no use for: 70 MB of memory and seconds of a small processor. The functions load nothing;
- a parameter without a gradient is left as it is;
- each parameter's state is kept under the names of `torch.optim`: "step", "exp_avg" and
  "exp_avg_sq", or "momentum_buffer".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

Kind = Literal["adam", "sgd"]

BETAS = (0.9, 0.999)
EPSILON = 1e-8
MOMENTUM = 0.9


class Optimizer:
    """An optimiser of some parameters, with its state.

    Args:
        kind: "adam" (betas 0.9 and 0.999) or "sgd" (momentum 0.9).
        parameters: what it moves.
        together: all parameters in one call of the processor; None where torch decides.
    """

    def __init__(
        self, kind: Kind, parameters: Iterable[Tensor], together: bool | None = None
    ) -> None:
        self.kind = kind
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._parameters = tuple(parameters)
        self._together = together

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float, weight_decay: float = 0.0) -> None:
        """Take one step down the gradients that lie in the parameters."""
        moved = [(p, p.grad) for p in self._parameters if p.grad is not None]
        if not moved:
            return
        parameters, gradients = (list(each) for each in zip(*moved, strict=True))
        match self.kind:
            case "adam":
                self._adam(parameters, gradients, rate, weight_decay)
            case "sgd":
                self._sgd(parameters, gradients, rate, weight_decay)

    def _adam(
        self, moved: list[Tensor], gradients: list[Tensor], rate: float, decay: float
    ) -> None:
        for parameter in moved:
            if parameter not in self.state:
                self.state[parameter] = {
                    "step": torch.tensor(0.0),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in moved]
        adam(
            moved,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=self._together,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=rate,
            weight_decay=decay,
            eps=EPSILON,
            maximize=False,
        )

    def _sgd(self, moved: list[Tensor], gradients: list[Tensor], rate: float, decay: float) -> None:
        kept = [self.state.get(parameter, {}).get("momentum_buffer") for parameter in moved]
        sgd(
            moved,
            gradients,
            kept,
            foreach=self._together,
            weight_decay=decay,
            momentum=MOMENTUM,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for parameter, momentum in zip(moved, kept, strict=True):
            if momentum is not None:
                self.state[parameter] = {"momentum_buffer": momentum}
