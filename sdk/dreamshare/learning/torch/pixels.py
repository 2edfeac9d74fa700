"""Nets that label pixels: their logits as rows, so that losses need not know.

Rules: nothing is copied for a net that labels examples.
"""

from __future__ import annotations

from torch import Tensor


def rows(logits: Tensor) -> Tensor:
    """Return logits (N, K) as they are, and (N, K, H, W) as (N H W, K), images one by one."""
    if logits.dim() <= 2:
        return logits
    return logits.movedim(1, -1).reshape(-1, logits.shape[1])
