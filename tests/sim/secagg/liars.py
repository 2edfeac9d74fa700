"""Hostile devices: dealers that deal what they like, holders that answer what they like.

Rules:
- the machines are the honest ones; what a liar sends is changed on the way and signed anew with its
  own key, as a liar would;
- `Lied` keeps a round's answers apart, so that a test decides their order and who is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from dreamshare_crypto.secagg import dealing
from dreamshare_crypto.secagg.events import FaultReason, Faulty, Left, RoundAbandoned, Stage, Summed
from dreamshare_crypto.secagg.schedule import EpochKeys, Kind
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import UnmaskResponse
from dreamshare_crypto.shamir import P, encode_element
from tests.sim.secagg.harness import Cohort

Deals = Callable[[Kind, int], Iterable[int]]
"""(kind, round) -> holders (device numbers) that get a wrong share."""


def add(share: bytes, what: int) -> bytes:
    return encode_element((int.from_bytes(share, "little") + what) % P)


def off_line(number: int) -> int:
    """What is added to a share to spoil it: no low power of x, so no polynomial of small degree."""
    return pow(7, 1000 + number, P)


def deal_badly(patch: pytest.MonkeyPatch, dealer: bytes, deals: Deals) -> None:
    """From now on `dealer` deals wrong shares to some holders."""
    honest = dealing._split

    def split(
        session: Session, keys: EpochKeys, kind: Kind, r: int, xs: tuple[int, ...]
    ) -> tuple[bytes, ...]:
        shares = honest(session, keys, kind, r, xs)
        spoilt = frozenset(deals(kind, r)) if keys.device == dealer else frozenset()
        return tuple(add(s, off_line(i)) if i in spoilt else s for i, s in enumerate(shares))

    patch.setattr(dealing, "_split", split)


def publish_other(patch: pytest.MonkeyPatch, dealer: bytes, what: str) -> None:
    """From now on `dealer` publishes the `commitment` or `pair_key` of the next round's secret."""
    honest = getattr(EpochKeys, what)

    def lie(keys: EpochKeys, r: int) -> object:
        return honest(keys, r + 1 if keys.device == dealer else r)

    patch.setattr(EpochKeys, what, lie)


class Lied:
    """A round in which every survivor has answered and no answer was delivered yet."""

    def __init__(self, cohort: Cohort, silent: Iterable[int] = ()) -> None:
        """Open a round; `silent` devices send no vector."""
        self.cohort = cohort
        self.before = len(cohort.server_effects)
        self.silent = frozenset(silent)
        for number in self.silent:
            cohort.serve(Left(cohort.parties[number].id))
        cohort.open()
        self.active = len(cohort.server.members)
        self.dealers = [cohort.number[device] for device in cohort.server.members]
        self.bodies: dict[int, bytes] = {}
        while cohort.down or cohort.up:
            while cohort.down:
                number, stage, body = cohort.down.pop(0)
                if number not in self.silent:
                    cohort.give(number, stage, body)
            moving, cohort.up = cohort.up, []
            for number, stage, body in moving:
                if stage is Stage.UNMASK_RESPONSE:
                    self.bodies[number] = body
                else:
                    cohort.arrive(number, stage, body)

    @property
    def holders(self) -> list[int]:
        return sorted(self.bodies)

    def lie(self, holder: int, dealers: Iterable[int] | None = None) -> None:
        """Spoil a holder's shares of some dealers, by default of all."""
        wrong = set(self.dealers if dealers is None else dealers)
        response = UnmaskResponse.decode(self.bodies[holder], self.active)
        given = [self.dealers[place] for place in sorted(response.have)]
        shares = tuple(
            add(share, off_line(31 * dealer + holder)) if dealer in wrong else share
            for dealer, share in zip(given, response.shares, strict=True)
        )
        self.resign(holder, replace(response, shares=shares))

    def resign(self, holder: int, response: UnmaskResponse) -> None:
        signing = self.cohort.parties[holder].identity.signing
        self.bodies[holder] = response.sign(signing).encode()

    def deliver(self, *holders: int) -> Summed | RoundAbandoned | None:
        """Hand answers to the aggregator, by default all, and return how the round ended."""
        for holder in holders or self.holders:
            self.cohort.arrive(holder, Stage.UNMASK_RESPONSE, self.bodies[holder])
        return self.outcome

    @property
    def outcome(self) -> Summed | RoundAbandoned | None:
        return self.cohort.outcome(self.before)


def faults(cohort: Cohort) -> dict[int, FaultReason]:
    """Return who was called faulty so far, by number."""
    told = [effect for effect in cohort.server_effects if isinstance(effect, Faulty)]
    found = {cohort.number[effect.device]: effect.reason for effect in told}
    assert len(found) == len(told)  # nobody twice
    return found
