"""A shard's machine for one task, sans IO: vectors come in, claims and one sum go out.

Rules:
- what is checked here is what the root would check of the same bytes: names, context, signature;
- a vector is held between its claim and the root's answer, then added or dropped: what is held is
  bounded by who hands vectors in;
- what does not hold is dropped without a word: its device learns nothing from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import words_from_bytes, words_to_bytes
from dreamshare_crypto.errors import AuthenticationError, MalformedError
from dreamshare_crypto.secagg.round_messages import InputReceipt, MaskedInput
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, GiveSum, Granted, PartialSum


@dataclass(slots=True)
class RunningSum:
    """Masked vectors added up: the one place where an aggregator adds them.

    Attributes:
        words: 64-bit words of a vector.
        members: ids of the devices whose vectors are in it.
    """

    words: int
    members: set[bytes] = field(default_factory=set)
    _total: NDArray[np.uint64] | None = None

    @property
    def total(self) -> NDArray[np.uint64]:
        """The sum so far; not to be written to."""
        return np.zeros(self.words, dtype=np.uint64) if self._total is None else self._total

    def add(self, members: frozenset[bytes], raw: bytes) -> None:
        """Add a vector, or what several add up to; little-endian words, as many as here.

        Raises:
            MalformedError: it has another length.
        """
        if len(raw) != 8 * self.words:
            raise MalformedError(f"a sum of {len(raw)} bytes, not {8 * self.words}")
        if self._total is None:
            self._total = words_from_bytes(raw)
        else:
            np.add(self._total, np.frombuffer(raw, dtype="<u8"), out=self._total)
        self.members |= members


def opened(
    body: bytes, session: bytes, number: int, words: int, key: bytes
) -> tuple[InputReceipt, bytes]:
    """Return what a device signed of its vector, and the vector.

    Raises:
        MalformedError: no masked input of so many words.
        AuthenticationError: of another session or round, or not signed with this key.
    """
    message = MaskedInput.decode(body, 8 * words)
    if (message.session, message.round) != (session, number):
        raise AuthenticationError("a message of another session or round")
    receipt = message.receipt()
    receipt.verify(key)
    return receipt, message.vector


class Shard:
    """The vectors of one task that come in over one shard.

    Attributes:
        dropped: how many did not hold.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._round: Collect | None = None
        self._held: dict[bytes, bytes] = {}
        self._sum = RunningSum(0)

    @property
    def largest(self) -> int:
        """Bytes of a vector of the round that is open; 0 while none is."""
        return 0 if self._round is None else 8 * self._round.words

    @property
    def holds(self) -> int:
        """How many vectors wait for the root's word."""
        return len(self._held)

    def collect(self, order: Collect) -> None:
        """Begin a round; what there was of an earlier one is dropped. The same order is no news."""
        if self._round is not None and _same(self._round, order):
            return
        self._round = order
        self._held = {}
        self._sum = RunningSum(order.words)

    def take(self, device: bytes, body: bytes) -> Claim | None:
        """Take a masked input; return what to ask the root, None where it does not hold."""
        order = self._round
        key = None if order is None else order.keys.get(device)
        if order is None or key is None:
            return None
        try:
            receipt, vector = opened(body, order.session, order.round, order.words, key)
        except (MalformedError, AuthenticationError):
            self.dropped += 1
            return None
        if receipt.context == order.context and device not in self._sum.members:
            self._held.setdefault(device, vector)
        return Claim(device, receipt.encode())

    def decide(self, answer: Granted) -> None:
        """Add a vector that counts, drop one that does not."""
        order = self._round
        if order is None or (order.session, order.round) != (answer.session, answer.round):
            return
        vector = self._held.pop(answer.device, None)
        if answer.granted and vector is not None:
            self._sum.add(frozenset({answer.device}), vector)

    def give(self, asked: GiveSum) -> PartialSum | None:
        """Return the sum of what was granted since the last one; None for another round."""
        order = self._round
        if order is None or (order.session, order.round) != (asked.session, asked.round):
            return None
        done, self._sum = self._sum, RunningSum(order.words)
        members, total = frozenset(done.members), words_to_bytes(done.total)
        return PartialSum(order.session, order.round, members, total)


def _same(a: Collect, b: Collect) -> bool:
    return (a.session, a.round, a.context) == (b.session, b.round, b.context)
