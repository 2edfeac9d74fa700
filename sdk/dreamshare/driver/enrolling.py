"""A party's way to its certificate: find the federation, ask, wait, ask again.

Rules:
- nothing is sent before the federation's TLS root was seen and found to be the pinned one;
- an Ask is repeated, byte for byte, until the authority has answered: a lost answer costs a call;
- waits are the relay's wish within bounds, or back-off where nobody answers;
- what an answer says is for `dreamshare_crypto.enrolment.accept` to believe, not for this module.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from dreamshare.clock import Clock
from dreamshare.errors import PeerProtocolError, Rejected, Unreachable
from dreamshare.protocol.border import crypto_border
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare.transport.exchange import Door
from dreamshare.wire.enrol import (
    Answer,
    Ask,
    Down,
    Knock,
    Refusal,
    RefusalReason,
    Waiting,
    Welcome,
    decode_down,
    encode_up,
)
from dreamshare_crypto.tls import certificate_hash

LONGEST_WAIT_S = 60
"""Seconds between two Asks, at most, whatever the relay wishes."""

_BUSY_S = 10
_WAITS = BackoffSettings(first_s=0.5, longest_s=30.0)


@dataclass(frozen=True, slots=True)
class Found:
    """Where the federation was found.

    Attributes:
        door: the way to its relay.
        welcome: what the relay said; its TLS root is the pinned one.
    """

    door: Door
    welcome: Welcome


async def knock(doors: Sequence[Door], tls_hash: bytes) -> Found:
    """Return the first door behind which the federation's root is shown.

    Args:
        doors: where to look, in this order; one or more.
        tls_hash: SHA-256 of the federation's TLS root, as the token pins it.

    Raises:
        Unreachable: nobody answered anywhere.
        Rejected: who answered is of another federation, or in between.
    """
    last: Unreachable | None = None
    for door in doors:
        try:
            async with await door.unproven() as exchange:
                said = _read(door, await exchange.ask(encode_up(Knock())))
        except Unreachable as error:
            last = error
            continue
        if not isinstance(said, Welcome):
            raise Rejected(f"{door} did not answer the knock; is it a Dreamshare aggregator?")
        _check_root(door, said, tls_hash)
        return Found(door, said)
    raise last or Unreachable("there is no address to enrol at")


async def ask(
    doors: Sequence[Door],
    roots_pem: bytes,
    request: bytes,
    clock: Clock,
    rng: random.Random,
    waiting: Callable[[str], None],
) -> bytes:
    """Ask until the authority has answered; return its encoded EnrolReply, to be checked.

    Args:
        doors: ways to the relay, one or more; the next one where nobody answers.
        roots_pem: the federation's TLS roots.
        request: an encoded EnrolRequest.
        clock: times the waits.
        rng: jitter of the waits.
        waiting: told, in words, why there is no answer yet, when that changes.

    Raises:
        Rejected: the authority does not certify this, or the relay is not the federation's.
        Unreachable: no door was given.
    """
    backoff = Backoff(_WAITS, rng)
    told = ""
    for door in cycle(doors):
        try:
            async with door.proven(roots_pem) as exchange:
                said = _read(door, await exchange.ask(encode_up(Ask(request))))
        except Unreachable as error:
            words, wait_s = str(error), backoff.next_wait(0.0)
        else:
            if isinstance(said, Answer):
                return said.reply
            words, wait_s = _put_off(door, said, rng)
        if words != told:
            waiting(words)
            told = words
        await clock.sleep_until(clock.now() + min(wait_s, LONGEST_WAIT_S))
    raise Unreachable("there is no address to enrol at")


def _put_off(door: Door, said: Down, rng: random.Random) -> tuple[str, float]:
    """Return why there is no answer yet, and how many seconds to wait; raises Rejected."""
    match said:
        case Waiting(seconds):
            return "the request waits for approval", float(seconds)
        case Refusal(RefusalReason.BUSY, text):
            return f"{door} is busy: {text}", _BUSY_S * rng.uniform(0.5, 1.5)
        case Refusal(_, text):
            raise Rejected(f"{door} refused the enrolment: {text}")
        case _:
            raise Rejected(f"{door} answered something else than was asked")


def _read(door: Door, data: bytes) -> Down:
    try:
        return decode_down(data)
    except PeerProtocolError as error:
        raise Rejected(f"{door} answered what is no enrolment message: {error}") from None


def _check_root(door: Door, welcome: Welcome, tls_hash: bytes) -> None:
    try:
        with crypto_border():
            shown = certificate_hash(welcome.tls_root)
    except PeerProtocolError as error:
        raise Rejected(f"{door} shows no TLS root: {error}") from None
    if shown != tls_hash:
        raise Rejected(
            f"{door} is not the federation of this token: its TLS root has the SHA-256 "
            f"{shown.hex()}, the token names {tls_hash.hex()}. Nothing was sent; check the "
            "address, or somebody is in between"
        )
