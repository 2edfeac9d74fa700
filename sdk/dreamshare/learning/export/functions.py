"""What is traced: logits, the dream gradient and the training gradient as pure functions.

Shape legend: N batch, K classes; P trainable parameters, B everything else of the net's state. Of a
net that labels pixels N stands for N, H, W: classes are the last axis everywhere.

Rules:
- the formulas are those of `dreamshare.learning.torch`, with every setting an input: an absent term
  has weight 0;
- gradients come from `torch.autograd.grad`: `torch.func.grad` fixed the batch size of linear
  layers on 3-d inputs;
- the net is in evaluation mode throughout, so dropout is off in exported graphs; BatchNorm follows
  its inputs (`norms`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.learning.export.features import measuring, recording
from dreamshare.learning.export.norms import Statistics, passing, replace_norms
from dreamshare.learning.torch.features import PlainNorm, plain_norms

Named = dict[str, Tensor]
SMALLEST = 1e-30
"""Stands for 0 inside a logarithm that is multiplied by 0."""


@dataclass(frozen=True, slots=True)
class PureNet:
    """A net without state: a copy whose BatchNorm layers record.

    Attributes:
        net: the copy, in evaluation mode.
        shared: what its BatchNorm layers share.
        parameters: trainable, by name.
        buffers: buffers and frozen parameters, by name.
        norms: LayerNorm and GroupNorm layers, where no BatchNorm keeps statistics.
    """

    net: nn.Module
    shared: Statistics
    parameters: Named
    buffers: Named
    norms: tuple[PlainNorm, ...] = ()

    @classmethod
    def of(cls, net: nn.Module) -> PureNet:
        """Return a pure copy on the CPU."""
        copied = copy.deepcopy(net).to("cpu").eval()
        norms = plain_norms(copied)
        shared = replace_norms(copied)
        copied.eval()
        names = dict(copied.named_parameters())
        kept = set(copied.state_dict())
        trained = {n: p.detach().clone() for n, p in names.items() if p.requires_grad}
        frozen = {n: p.detach().clone() for n, p in names.items() if not p.requires_grad}
        buffers = {n: b.detach().clone() for n, b in copied.named_buffers() if n in kept}
        for parameter in copied.parameters():
            parameter.requires_grad_(False)
        return cls(copied, shared, trained, frozen | buffers, norms)

    def logits(self, state: Named, x: Tensor) -> Tensor:
        """Return logits_NK."""
        result: Tensor = torch.func.functional_call(self.net, state, (x,))
        return result.movedim(1, -1) if result.dim() > 2 else result

    def classified(self, given: Named, state: Named) -> Named:
        """Return {"logits"} for {"x"}."""
        with passing(self.shared):
            return {"logits": self.logits(state, given["x"])}

    def described(self, given: Named, state: Named) -> Named:
        """Return what `norms` get to see for {"x"}: mean and variance of each channel."""
        with passing(self.shared), recording(self.norms) as found:
            self.logits(state, given["x"])
        return found

    def dreamt(self, given: Named, state: Named) -> Named:
        """Return the gradient of a dream objective, its terms, and cotangents for a student."""
        x = given["x"].detach().requires_grad_(True)
        student = given["student"].detach().requires_grad_(True)
        with (
            torch.enable_grad(),
            passing(self.shared, measuring=True) as seen,
            measuring(self.norms, given) as own,
        ):
            logits = self.logits(state, x)
            last = logits.dim() - 1
            log_p = functional.log_softmax(logits, dim=last)
            p = log_p.exp()
            entropy_N = -(p * log_p).sum(dim=last)
            wrong_N = -(given["targets"] * log_p).sum(dim=last)
            count = torch.full((), float(math.prod(logits.shape[1:last]))) * x.shape[0]
            task_N = given["label_weight"] * wrong_N + given["entropy_weight"] * entropy_N
            distances = seen.distances + own
            features = torch.stack(distances).mean() if distances else torch.zeros(())
            mean_K = p.mean(dim=tuple(range(last)))
            spread = -(mean_K * (mean_K + 1e-8).log()).sum()
            apart = _divergence(log_p, functional.log_softmax(student, dim=last))
            total = (
                task_N.sum()
                + count * given["feature_weight"] * features
                - count * given["diversity"] * spread
                - count * given["adversarial"] * apart
                + (given["cotangent"] * logits).sum()
            )
            gradient, cotangent = torch.autograd.grad(total, (x, student))
        return {
            "gradient": gradient,
            "logits": logits.detach(),
            "wrong": wrong_N.detach(),
            "entropy": entropy_N.detach(),
            "features": features.detach(),
            "spread": spread.detach(),
            "apart": apart.detach(),
            "student_cotangent": cotangent,
        }

    def learnt(self, given: Named, state: Named) -> Named:
        """Return the loss of one batch, its gradients "G/name" and moved statistics "B/name"."""
        leaves = {n: state[n].detach().requires_grad_(True) for n in self.parameters}
        fixed = {n: state[n] for n in self.buffers}
        with (
            torch.enable_grad(),
            passing(self.shared, batch=given["batch"], track=given["track"]) as seen,
        ):
            logits = self.logits(leaves | fixed, given["x"]) + given["log_prior"]
            last = logits.dim() - 1
            log_p = functional.log_softmax(logits / given["temperature"], dim=last)
            targets = given["targets"]
            known = targets * torch.clamp(targets, min=SMALLEST).log()
            divergence = (known - targets * log_p).sum(dim=last).mean()
            loss = given["weight"] * given["temperature"] * given["temperature"] * divergence
            gradients = torch.autograd.grad(
                loss, list(leaves.values()), allow_unused=True, materialize_grads=True
            )
        named = {f"G/{n}": g for n, g in zip(leaves, gradients, strict=True)}
        moved = {f"B/{n}": value.detach() for n, value in seen.moved.items()}
        return {"loss": loss.detach(), **named, **moved}


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence in nats, mean over the batch."""
    p, q = log_p.exp(), log_q.exp()
    middle = (0.5 * (p + q)).clamp(min=SMALLEST).log()
    both = p * (log_p - middle) + q * (log_q - middle)
    return 0.5 * both.sum(dim=both.dim() - 1).mean()
