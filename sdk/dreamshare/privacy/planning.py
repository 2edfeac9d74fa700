"""How much noise it takes, and whether the sum can be told from it.

Rules:
- the cost of a sum is `dreamshare_crypto.accounting`'s, which is what devices charge;
- noise stands under the sum over the least honest crowd E - a of docs/protocol.md 12.6; whoever
  survives more adds more;
- `noise_to_signal` compares with the best case: every device of the crowd sends the same vector, as
  long as the clip allows. Above 1 the sum is mostly noise whatever the devices know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.privacy.wanted import Noise, Privacy
from dreamshare_crypto.accounting import Charge, epsilon
from dreamshare_crypto.encoding import FieldParams, Params
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.noise import charge_of, sensitivity, with_noise

MOST_MULTIPLIER = 1e5
"""A multiplier above this is not searched for: no cohort that fits a roster bears it."""

_STEPS = 60  # halvings of the search


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who adds noise.

    Attributes:
        most: largest sum, n_max of the encoding, >= honest.
        honest: least honest devices in any sum that can be opened, E - a, >= 1.
    """

    most: int
    honest: int

    def __post_init__(self) -> None:
        if not 1 <= self.honest <= self.most:
            raise ConfigError(f"a crowd of {self.honest} honest devices of at most {self.most}")


@dataclass(frozen=True, slots=True)
class NoisePlan:
    """The noise of a run of equal sums.

    Attributes:
        params: encoding of one sum, noise and lanes included.
        charge: what one sum costs.
        sums: how many there are.
        epsilon: what all cost together at `delta`.
        delta: as asked.
        noise_to_signal: norm of the noise over that of the longest sum; see the module.
    """

    params: Params
    charge: Charge
    sums: int
    epsilon: float
    delta: float
    noise_to_signal: float

    @property
    def multiplier(self) -> float:
        """Standard deviation of the noise over the l2 sensitivity."""
        return self.charge.multiplier

    @property
    def bytes_a_coordinate(self) -> float:
        """Bytes that a coordinate takes on the way up."""
        return 8 / self.params.fields[0].lanes


def least_multiplier(privacy: Privacy, dims: Iterable[int], sums: int) -> float:
    """Return the noise multiplier that keeps `sums` sums within `privacy.epsilon`.

    Args:
        privacy: with an epsilon.
        dims: coordinates of each step; the one that needs most decides.
        sums: masked sums of the whole task, >= 1.

    Raises:
        ConfigError: no multiplier up to MOST_MULTIPLIER is enough.
    """
    scale = (2**privacy.bits - 1) / 2
    return max(_search(privacy, size, sums, scale) for size in dims)


def settle(privacy: Privacy, dims: Iterable[int], sums: int, crowd: int) -> Noise:
    """Return the noise of a task with these steps; ConfigError as `least_multiplier`.

    Args:
        crowd: least honest devices in any sum, >= 1.
    """
    found = privacy.multiplier or least_multiplier(privacy, dims, sums)
    return Noise(privacy.clip, found, privacy.delta, privacy.bits, crowd)


def plan_noise(dims: int, sums: int, crowd: Crowd, privacy: Privacy) -> NoisePlan:
    """Return the noise of `sums` sums of `dims` coordinates.

    Raises:
        ConfigError: it fits no lane, cannot be drawn, or no multiplier is enough.
    """
    noise = settle(privacy, (dims,), sums, crowd.honest)
    try:
        quiet = Params(
            mode=Mode.AGREED,
            fields=(FieldParams.create(dims, noise.bits, 1.0, crowd.most),),
            n_max=crowd.most,
            a_min=0,
            u_min=0,
            d=0,
            l2_clip=0.0,
            weight_cap=1.0,
            noise_variance=0.0,
            noise_scale=0.0,
            tail=0,
            round_nonce=bytes(16),
        )
        params = with_noise(quiet, noise.clip, noise.multiplier, crowd.honest)
    except ParameterError as error:
        raise ConfigError(f"noise: {error}") from error
    charge = sensitivity(params)
    loudest = crowd.honest * noise.clip * params.noise_scale
    return NoisePlan(
        params=params,
        charge=charge,
        sums=sums,
        epsilon=epsilon([charge] * sums, noise.delta),
        delta=noise.delta,
        noise_to_signal=math.sqrt(params.noise_variance * dims) / loudest,
    )


def _search(privacy: Privacy, dims: int, sums: int, scale: float) -> float:
    def spent(multiplier: float) -> float:
        return epsilon([charge_of(dims, privacy.clip, scale, multiplier)] * sums, privacy.delta)

    return least_enough(
        lambda multiplier: spent(multiplier) <= privacy.epsilon,
        f"privacy: no noise keeps {sums} sums within epsilon {privacy.epsilon:g} at delta "
        f"{privacy.delta:g}; ask for fewer sums or a larger epsilon",
    )


def least_enough(enough: Callable[[float], bool], refusal: str) -> float:
    """Return the least noise that is enough, found by halving; more of it is enough as well.

    Raises:
        ConfigError: none up to MOST_MULTIPLIER is; its text is `refusal`.
    """
    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_MULTIPLIER:
            raise ConfigError(refusal)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
