"""Noise of a round: how much each device adds, what it protects, and when it is not enough (12.6).

Rules:
- all of it is in levels of the fixed-point encoding: the fields of a noisy step have one q, and
  `noise_scale` says how many levels make up a coordinate at its clip;
- a device divides the variance by the honest crowd that *it* computes; nobody tells it;
- noise is drawn from fresh system entropy and never again: a vector that was stored is resent, one
  that was not is drawn anew (9.1).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.accounting import NO_NOISE, Charge
from dreamshare_crypto.encoding import SLACK, FieldParams, Params
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.graph import Derived
from dreamshare_crypto.lanes import pack
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.skellam import LEAST_VARIANCE, MOST_VARIANCE, Skellam, least_tail, tail_bits

TAIL_BITS = 64.0
"""Noise of a whole round is cut anywhere with a probability of at most 2^-64."""

_BLOCK_WORDS = 1 << 15


def sensitivity(params: Params) -> Charge:
    """Return what one device can do to the noisy sum of a round: its charge (12.6, 12.7).

    l2: levels of a vector within the clip and its slack, and the half level by which a coordinate
    of 0 misses the grid; l1: at most sqrt(dims) l2, and at most l2^2, since levels are whole.
    """
    if not params.noise_variance:
        return NO_NOISE
    l2, l1 = _sensitivity(params.dims, params.l2_clip, params.noise_scale)
    return Charge(params.noise_variance, l2, l1)


def charge_of(dims: int, l2_clip: float, scale: float, multiplier: float) -> Charge:
    """Return the charge of a sum of `dims` coordinates with this much noise; see `with_noise`."""
    l2, l1 = _sensitivity(dims, l2_clip, scale)
    return Charge((multiplier * l2) ** 2, l2, l1)


def _sensitivity(dims: int, l2_clip: float, scale: float) -> tuple[float, float]:
    l2 = l2_clip * SLACK * scale + math.sqrt(dims) / 2
    return l2, min(math.sqrt(dims) * l2, l2 * l2)


def device_variance(params: Params, derived: Derived) -> float:
    """Return the variance of one device's noise, levels squared: mu / (E - a) (12.6)."""
    return params.noise_variance / (derived.crowd - derived.a)


def noise_in_bounds(params: Params) -> float:
    """Return the standard deviation of a round's noise over its fields' bounds; 0 without noise."""
    return math.sqrt(params.noise_variance) / params.noise_scale if params.noise_variance else 0.0


def noise_fault(params: Params, derived: Derived) -> str:
    """Return why a round's noise cannot be made, or is cut too early, for this crowd; "" if not."""
    if not params.noise_variance:
        return ""
    variance = device_variance(params, derived)
    if not LEAST_VARIANCE <= variance <= MOST_VARIANCE:
        return f"noise of variance {variance:g} a device cannot be drawn"
    if tail_bits(variance, params.tail) < TAIL_BITS + math.log2(params.n_max * params.dims):
        return (
            f"an honest crowd of {derived.crowd - derived.a} is smaller than its noise assumes: "
            f"parts of variance {variance:g} do not fit a tail of {params.tail}"
        )
    return ""


def tail_for(variance: float, n_max: int, dims: int) -> int:
    """Return T for devices of this variance, a bit better than devices ask."""
    return least_tail(variance, TAIL_BITS + 1 + math.log2(n_max * dims))


def with_noise(params: Params, l2_clip: float, multiplier: float, least_crowd: int) -> Params:
    """Return an encoding with noise, from one without.

    Args:
        params: fields of one q, no noise.
        l2_clip: bound of the l2 norm of x / C over all fields, > 0 (12.1).
        multiplier: standard deviation of the noise over the l2 sensitivity, > 0.
        least_crowd: least E - a of any roster of the epoch, >= 1; sizes the tails.

    Raises:
        ParameterError: fields of several q, or noise that fits no lane or cannot be drawn.
    """
    if not (l2_clip > 0 and multiplier > 0 and least_crowd >= 1):
        raise ParameterError("clip, multiplier and crowd of noise must be above 0")
    scale = params.fields[0].levels / 2
    variance = charge_of(params.dims, l2_clip, scale, multiplier).variance
    part = variance / least_crowd
    if not LEAST_VARIANCE <= part <= MOST_VARIANCE:
        raise ParameterError(
            f"each device would add noise of variance {part:.3g} levels^2; "
            f"{LEAST_VARIANCE:.3g} to {MOST_VARIANCE:.3g} are possible: use other bits or clips"
        )
    tail = tail_for(part, params.n_max, params.dims)
    fields = tuple(
        FieldParams.create(f.dims, f.bits, f.clip, params.n_max, tail) for f in params.fields
    )
    return replace(
        params,
        fields=fields,
        l2_clip=l2_clip,
        noise_variance=variance,
        noise_scale=scale,
        tail=tail,
    )


def add_noise(words: NDArray[np.uint64], params: Params, variance: float, stream: Stream) -> None:
    """Add z + T to every lane of an encoded vector, in place (12.2).

    Args:
        words: of `encoding.encode_vector`; the weight stays as it is.
        params: of the round, with noise.
        variance: of this device's part, levels squared.
        stream: of a fresh key that is used for nothing else.

    Raises:
        ParameterError: no noise is asked for, or none of this variance can be drawn.
    """
    if not params.tail:
        raise ParameterError("these parameters ask for no noise")
    skellam = Skellam(variance)
    start = 0
    for f in params.fields:
        for first in range(0, f.words, _BLOCK_WORDS):
            count = min(_BLOCK_WORDS, f.words - first)
            lanes = min(count * f.lanes, f.dims - first * f.lanes)
            z = skellam.draw(lanes, params.tail, stream) + params.tail
            packed = np.zeros(count, dtype=np.uint64)
            pack(z.astype(np.float64), f, packed)
            words[start + first : start + first + count] += packed
        start += f.words
