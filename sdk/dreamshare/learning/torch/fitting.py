"""Optimiser steps on local examples and on dreams.

Shape legend: N batch, K classes. Every pixel of a net that labels pixels is an entry of its batch.

Rules:
- dreams never move a BatchNorm layer's running statistics: they describe local data, and the next
  dreams are drawn towards them;
- the optimiser and its state last from call to call; rates are read from the objective at each
  step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import FitObjective, Projection
from dreamshare.learning.projection import factors
from dreamshare.learning.torch.features import batch_norms
from dreamshare.learning.torch.optimizers import Kind, Optimizer
from dreamshare.learning.torch.pixels import rows

TorchBatch = tuple[Tensor, Tensor | None, Tensor | None]
"""Inputs, class indices, soft labels."""


class Fitter:
    """The training side of one net."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._optimizer: Optimizer | None = None

    def fit(self, steps: Iterable[tuple[TorchBatch, ...]], objective: FitObjective) -> float:
        """Take one optimiser step per item; return the mean loss, 0.0 without steps."""
        optimizer = self._chosen(objective.optimizer)
        log_prior = None
        if objective.class_prior is not None:
            device = next(self._net.parameters()).device
            log_prior = torch.tensor(objective.class_prior, device=device).log()
        anchor = [p.detach().clone() for p in self._trained()] if objective.proximal else []
        losses = []
        self._net.train()
        for number, step in enumerate(steps):
            optimizer.clear()
            parts = self._losses(step, objective, log_prior)
            if anchor:
                parts[0] = parts[0] + objective.proximal / 2 * self._distance(anchor)
            self._backward(parts, objective.projection)
            optimizer.step(objective.rate_at(number), objective.weight_decay)
            losses.append(torch.stack(parts).detach().sum())
        self._net.eval()
        return float(torch.stack(losses).mean()) if losses else 0.0

    def state(self) -> tuple[str, dict[str, Tensor]]:
        """Return the optimiser's kind ("" before the first step) and its tensors by name."""
        if self._optimizer is None:
            return "", {}
        states = self._optimizer.state
        tensors = {
            f"{name}/{key}": value
            for name, parameter in self._net.named_parameters()
            for key, value in states.get(parameter, {}).items()
        }
        return self._optimizer.kind, tensors

    def load(self, state: tuple[str, dict[str, Tensor]]) -> None:
        """Inverse of `state`.

        Raises:
            ConfigError: state of an unknown optimiser, or of a parameter that the net has not.
        """
        kind, tensors = state
        self._optimizer = None
        match kind:
            case "":
                return
            case "adam" | "sgd":
                optimizer = self._made(kind)
            case _:
                raise ConfigError(f"snapshot holds the state of an unknown optimiser {kind!r}")
        parameters = dict(self._net.named_parameters())
        for path, tensor in tensors.items():
            name, _, key = path.rpartition("/")
            if name not in parameters:
                raise ConfigError(f"snapshot holds optimiser state of an unknown {name!r}")
            on = tensor if key == "step" else tensor.to(parameters[name].device)
            optimizer.state.setdefault(parameters[name], {})[key] = on.clone()
        self._optimizer = optimizer

    def _losses(
        self, step: tuple[TorchBatch, ...], objective: FitObjective, log_prior: Tensor | None
    ) -> list[Tensor]:
        """Return the loss on the local batch and, where there is one, on the second batch."""
        if not 1 <= len(step) <= 2:
            raise ConfigError(f"a step holds {len(step)} batches; 1 (local) or 2 (and dreams)")
        x, y, _ = step[0]
        if y is None:
            raise ConfigError("the first batch of a step needs y_N: it is local, labelled data")
        logits = rows(self._net(x))
        if len(logits) != y.numel():
            raise ConfigError(
                f"the net gives {len(logits)} rows of logits for {y.numel()} labels; labels of "
                "pixels need logits of shape (N, K, H, W), labels of images (N, K)"
            )
        if log_prior is not None:
            logits = logits + log_prior
        losses = [functional.cross_entropy(logits, y.reshape(-1))]
        if len(step) == 2 and objective.distillation_weight > 0:
            dreams, _, targets = step[1]
            if targets is None:
                raise ConfigError("the second batch of a step needs targets_NK: soft labels")
            with self._statistics_frozen(objective):
                student = rows(self._net(dreams))
            soft = targets.reshape(-1, targets.shape[-1])
            divergence = distillation(student, soft, objective.temperature)
            losses.append(objective.distillation_weight * divergence)
        return losses

    def _backward(self, losses: Sequence[Tensor], projection: Projection) -> None:
        """Leave the step's gradient in the parameters."""
        if len(losses) == 1 or projection == "none":
            torch.autograd.backward(torch.stack(list(losses)).sum())
            return
        trained = self._trained()
        local, public = (
            torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
            for loss in losses
        )
        a, b = factors(
            projection, _inner(local, public), _inner(local, local), _inner(public, public)
        )
        for parameter, one, other in zip(trained, local, public, strict=True):
            parameter.grad = a * one + b * other

    def _distance(self, anchor: Sequence[Tensor]) -> Tensor:
        """Return |w - w0|^2 over the trainable parameters."""
        pairs = zip(self._trained(), anchor, strict=True)
        return torch.stack([(p - p0).square().sum() for p, p0 in pairs]).sum()

    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self._net.parameters() if p.requires_grad]

    @contextmanager
    def _statistics_frozen(self, objective: FitObjective) -> Iterator[None]:
        """Let a forward pass through without touching running statistics."""
        layers = [(layer, layer.momentum) for layer in batch_norms(self._net)]
        counting = objective.distillation_norm == "batch"
        for layer, _ in layers:
            if counting:
                layer.momentum = 0.0
            else:
                layer.training = False
        try:
            yield
        finally:
            for layer, momentum in layers:
                layer.training = True
                layer.momentum = momentum
                if counting and layer.num_batches_tracked is not None:
                    layer.num_batches_tracked.sub_(1)

    def _chosen(self, kind: Kind) -> Optimizer:
        if self._optimizer is None or self._optimizer.kind != kind:
            self._optimizer = self._made(kind)
        return self._optimizer

    def _made(self, kind: Kind) -> Optimizer:
        return Optimizer(kind, self._trained(), together=True)


def distillation(student: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return T^2 * KL(targets || softmax(student / T)), mean over the batch."""
    log_student = functional.log_softmax(student / temperature, dim=1)
    divergence = functional.kl_div(log_student, targets, reduction="batchmean")
    return divergence * temperature**2


def _inner(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """Return the inner product of two gradients, summed in float64."""
    products = [(a * b).sum(dtype=torch.float64) for a, b in zip(one, other, strict=True)]
    return float(torch.stack(products).sum())
