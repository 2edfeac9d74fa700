"""What a cohort guarantees before anything runs: the least crowd of every sum (docs 1.3, 1.4).

Rules:
- the figure is computed as every device computes it, for every roster size that the cohort allows,
  and the worst of them is told to the operator: what nobody would accept is an error here;
- agreed mode opens one sum over at least u_min devices. Bounded mode saves a message each way, and
  an aggregator that shows devices different survivors can shrink the crowd to E (4.5).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort
from dreamshare_crypto.errors import Refused
from dreamshare_crypto.graph import (
    LARGEST_COMPLETE,
    LARGEST_REGULAR,
    MILLION,
    Claims,
    Mode,
    Profile,
)
from dreamshare_crypto.graph import derive_parameters as derive

GAMMA_PPM = 50_000
DELTA_PPM = 100_000
_ROUNDING = 127


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The least crowd over all roster sizes of a cohort.

    Attributes:
        crowd: least devices in any sum that can be opened.
        colluders: how many devices of that roster may collude with the aggregator.
        roster: the size of the roster where honest devices are fewest.
    """

    crowd: int
    colluders: int
    roster: int

    def __str__(self) -> str:
        honest = self.crowd - self.colluders
        if not self.colluders:
            return f"every sum is over {self.crowd} devices or more"
        return (
            f"every sum is over {self.crowd} devices or more, "
            f"{honest} of them honest where {self.colluders} collude"
        )


def claims_of(cohort: Cohort, gamma_ppm: int = GAMMA_PPM, delta_ppm: int = DELTA_PPM) -> Claims:
    """Return what the offers for a cohort claim (4.1).

    In agreed mode the least active fraction is what lets `survivors` be demanded of any roster size
    (4.4). In bounded mode the part that may drop out of one round may also be away for good.
    """
    d_ppm = round(cohort.dropouts * MILLION)
    needed = math.ceil(cohort.survivors * MILLION / cohort.least)
    return Claims(
        profile=Profile.REGULAR if cohort.most > LARGEST_COMPLETE else Profile.COMPLETE,
        mode=Mode.BOUNDED if d_ppm else Mode.AGREED,
        gamma_ppm=gamma_ppm,
        delta_ppm=delta_ppm,
        sigma=64,
        eta=20,
        a_min_ppm=MILLION - d_ppm if d_ppm else min(MILLION, needed),
        d_ppm=d_ppm,
        least_cohort=max(3, cohort.survivors),
    )


def guarantee_of(cohort: Cohort, gamma_ppm: int = GAMMA_PPM) -> Guarantee:
    """Return the least crowd that the cohort's sums can have, whatever the aggregator does.

    Raises:
        ConfigError: a roster size that the cohort allows would be refused by every device; the text
            names the figure and what to change.
    """
    claims = claims_of(cohort, gamma_ppm)
    found: list[Guarantee] = []
    for n in _sizes(cohort.least, cohort.most):
        try:
            derived = derive(n, claims)
        except Refused as error:
            raise ConfigError(f"a roster of {n}: {error}") from None
        found.append(Guarantee(derived.crowd, derived.a, n))
    if not found:
        raise ConfigError(f"no roster has {cohort.least} to {cohort.most} devices")
    return min(found, key=lambda each: each.crowd - each.colluders)


def least_honest(cohort: Cohort, gamma_ppm: int = GAMMA_PPM) -> int:
    """Return the least honest crowd E - a of any roster that can come about (12.6).

    A roster may be smaller than `cohort.least`, when devices that were here stay away from the
    set-up; `cohort.survivors` is what bounds it.

    Raises:
        ConfigError: no roster is possible.
    """
    claims = claims_of(cohort, gamma_ppm)
    first = LARGEST_COMPLETE + 1 if claims.profile is Profile.REGULAR else 3
    crowds = []
    for n in _sizes(max(first, claims.least_cohort), cohort.most):
        with contextlib.suppress(Refused):  # a roster that nobody makes
            derived = derive(n, claims)
            crowds.append(derived.crowd - derived.a)
    if not crowds:
        raise ConfigError(f"no roster of up to {cohort.most} devices can have noise")
    return min(crowds)


def _sizes(least: int, most: int) -> Iterator[int]:
    """Yield the roster sizes that are looked at: all of profile C, the least and the most of K.

    In profile K a roster of 100 devices more has a larger crowd and not as many colluders more; in
    between rounding may go either way.
    """
    yield from range(least, min(most, least + _ROUNDING, LARGEST_REGULAR) + 1)
    if LARGEST_REGULAR >= most > least + _ROUNDING:
        yield most
