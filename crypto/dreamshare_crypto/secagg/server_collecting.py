"""The aggregator's first stage of a round: masked vectors come in (docs/protocol.md 7.2, 7.3).

Rules:
- vectors are added up as they come and not kept; of each its signed statement stays as a receipt;
- a vector may be at a shard (docs/adr/0033): its receipt comes here and counts or does not; the sum
  of those that count comes when nobody else is waited for. Without shards this is all in one place;
- the first vector of a device counts, wherever it came in; a shard that is lost takes its vectors
  along, and their devices are asked for them again;
- survivors are those whose vectors are in the sum *here*; later ones are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from dreamshare_crypto.encoding import words_to_bytes
from dreamshare_crypto.errors import MalformedError, RefusalCode
from dreamshare_crypto.secagg.events import KeepEvidence, Send, Stage
from dreamshare_crypto.secagg.mailbox import Mailbox
from dreamshare_crypto.secagg.open_round import OpenRound
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.round_messages import InputReceipt
from dreamshare_crypto.secagg.server_records import SumRecord
from dreamshare_crypto.secagg.server_round import Agreeing, Unmasking
from dreamshare_crypto.secagg.shard import RunningSum, opened
from dreamshare_crypto.secagg.shard_messages import (
    Claim,
    Collect,
    GiveSum,
    Lost,
    PartialSum,
    ToShard,
)
from dreamshare_crypto.secagg.survivor_messages import Survivors


class Collecting:
    """COLLECTING: masked vectors come in, here and at shards.

    Attributes:
        closed: no further vector counts; shards may still give what they have.
    """

    ACCEPTS: ClassVar[Stage] = Stage.MASKED_INPUT

    def __init__(self, round_: OpenRound, gone: Iterable[bytes]) -> None:
        self.round = round_
        self._body = round_.start.encode()
        self._sum = RunningSum(round_.start.params.words)
        self._kept = 0  # how many vectors the last stored sum holds
        self._claims: dict[int, set[bytes]] = {}  # whose vectors are with which shard
        self._asked: set[int] = set()  # shards that are to give their sum
        self._order: Collect | None = None
        self.closed = False
        asked = round_.ids(round_.start.active)
        self.box: Mailbox[InputReceipt] = Mailbox(RefusalCode.S2, asked, gone)

    @property
    def settled(self) -> bool:
        """Whether nobody is waited for, no device and no shard."""
        return not self._claims and (self.closed or not self.box.awaited)

    @property
    def owing(self) -> bool:
        """Whether a shard has vectors that count and whose sum is not here."""
        return bool(self._claims)

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the RoundStart; its plan is the caller's to add."""
        return (Send(Stage.ROUND_START, self._body, (device,)),)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take a vector into the sum; return evidence when it is the device's second one."""
        start = self.round.start
        key = self.round.key_of(device)
        receipt, vector = opened(body, start.session, start.round, start.params.words, key)
        self._check_context(receipt)
        if device not in self.box:
            self._sum.add(frozenset({device}), vector)
        return self.box.put(device, receipt)

    def claim(self, shard: int, claim: Claim) -> tuple[bool, KeepEvidence | None]:
        """Say whether a vector that a shard holds counts, and what a second one proves.

        Raises:
            MalformedError, AuthenticationError: no receipt of this round and device.
            Ignored: of another context.
        """
        receipt = InputReceipt.decode(claim.receipt)
        self.round.check_named(receipt.session, receipt.round)
        receipt.verify(self.round.key_of(claim.device))
        self._check_context(receipt)
        first = claim.device not in self.box and not self.closed
        if not first and claim.device not in self.box:
            return False, None
        evidence = self.box.put(claim.device, receipt)
        if first:
            self._claims.setdefault(shard, set()).add(claim.device)
        return first, evidence

    def wanting(self, *, close: bool) -> tuple[ToShard, ...]:
        """Return what asks shards for their sums, where no device is waited for or `close` is set.

        No further claim is granted once the stage was closed.
        """
        self.closed = self.closed or close
        if self.box.awaited and not self.closed:
            return ()
        start = self.round.start
        asked = sorted(self._claims.keys() - self._asked)
        self._asked.update(asked)
        return tuple(ToShard(shard, GiveSum(start.session, start.round)) for shard in asked)

    def hear(self, shard: int, said: PartialSum | Lost) -> frozenset[bytes]:
        """Add a shard's sum; return whose vectors are lost, who are waited for again.

        A sum that is not of what was granted, and only of that, makes its shard as good as lost.
        """
        if isinstance(said, Lost):
            return self._lose(shard)
        start, claimed = self.round.start, self._claims.get(shard, set())
        if (said.session, said.round) != (start.session, start.round) or not claimed:
            return frozenset()
        if said.members != claimed or len(said.total) != 8 * start.params.words:
            return self._lose(shard)
        self._sum.add(said.members, said.total)
        del self._claims[shard]
        self._asked.discard(shard)
        return frozenset()

    def _lose(self, shard: int) -> frozenset[bytes]:
        gone = frozenset(self._claims.pop(shard, set()))
        self._asked.discard(shard)
        for device in gone:
            self.box.forget(device)
        return gone

    def lose_all(self) -> None:
        """No shard is waited for any more."""
        for shard in tuple(self._claims):
            self._lose(shard)

    def order(self) -> Collect:
        """Return what a shard has to know of the round."""
        start, words = self.round.start, self.round.start.params.words
        if self._order is None:
            keys = {device: self.round.key_of(device) for device in self.round.ids(start.active)}
            self._order = Collect(start.session, start.round, self.round.context, words, keys)
        return self._order

    def _check_context(self, receipt: InputReceipt) -> None:
        if receipt.context != self.round.context:
            raise Ignored(RefusalCode.U1, "a vector of another round context")

    def keep(self) -> SumRecord | None:
        """Return the sum to store where vectors came since it last was; None where none did."""
        if self._kept == len(self._sum.members):
            return None
        self._kept = len(self._sum.members)
        return SumRecord(self.survivors, self.round.start.n, words_to_bytes(self._sum.total))

    def restore(self, receipts: Mapping[bytes, InputReceipt], stored: SumRecord | None) -> None:
        """Go back to a stored sum: its vectors count, and receipts of others are forgotten.

        Raises:
            MalformedError: the sum is of another round, or a vector in it has no receipt.
            AuthenticationError: a receipt is of another round, or not its device's.
        """
        start, ids = self.round.start, self.round.cohort.session.ids
        members = frozenset[int]() if stored is None else stored.members
        if stored is not None:
            words = 8 * start.params.words
            if (stored.n, len(stored.total)) != (start.n, words) or members - start.active:
                raise MalformedError("a stored sum of another round")
            self._sum.add(frozenset(ids[index] for index in members), stored.total)
        named = frozenset(ids[index] for index in members)
        if named - receipts.keys():
            raise MalformedError("a stored sum with a vector that has no receipt")
        for device, receipt in receipts.items():
            if device in named:
                self.round.check_named(receipt.session, receipt.round)
                receipt.verify(self.round.key_of(device))
                self.box.put(device, receipt)
        self._kept = len(self._sum.members)

    @property
    def survivors(self) -> frozenset[int]:
        """Roster indices whose vectors are in the sum so far."""
        index_of = self.round.cohort.session.index_of
        return frozenset(index_of[device] for device in self._sum.members)

    def next(self, gone: Iterable[bytes]) -> Agreeing | Unmasking | None:
        """Fix the survivors; None when they are fewer than u_min (7.3).

        Bounded mode asks for shares at once (7.5). There u_min bounds the active devices; with more
        of them than A_min, more survivors are needed than u_min: all but d (row B1).
        """
        start, session = self.round.start, self.round.cohort.session
        derived = session.derived
        survivors = self.survivors
        if len(survivors) < max(derived.u_min, derived.t):
            return None
        if session.bounded and len(start.active) - len(survivors) > derived.d:
            return None
        fixed = Survivors(start.session, start.round, self.round.context, start.n, survivors)
        fixed = fixed.sign(self.round.identity.signing)
        if session.bounded:
            return Unmasking(self.round, fixed, None, self._sum.total, frozenset(), gone)
        return Agreeing(self.round, fixed, self._sum.total, gone)
