"""The aggregator's stages of a round after its vectors came: agree, unmask (docs/protocol.md 7).

Rules:
- each stage is an object that is asked for its next one, without clock or sends;
- once survivors are fixed they never change (7.3);
- of every device the first answer counts (10.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import decode_sum, words_to_bytes
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.events import AbortReason, KeepEvidence, Send, Stage, Summed
from dreamshare_crypto.secagg.mailbox import Mailbox
from dreamshare_crypto.secagg.open_round import OpenRound
from dreamshare_crypto.secagg.reconstruction import Moment, Reconstruction, masks_of_sum
from dreamshare_crypto.secagg.refusals import Ignored
from dreamshare_crypto.secagg.round_messages import RoundResult
from dreamshare_crypto.secagg.survivor_messages import (
    Agree,
    AgreeSet,
    Survivors,
    UnmaskResponse,
    survivors_hash,
)
from dreamshare_crypto.shamir import decode_element


class Agreeing:
    """FIXED and AGREEING: the survivors' bitmap is out, signatures under it come in."""

    ACCEPTS: ClassVar[Stage] = Stage.AGREE

    def __init__(
        self,
        round_: OpenRound,
        fixed: Survivors,
        total: NDArray[np.uint64],
        gone: Iterable[bytes],
    ) -> None:
        self.round = round_
        self.fixed = fixed
        self._total = total
        self._body = fixed.encode()
        witnesses = round_.cohort.session.graph.witnesses
        asked = round_.ids(fixed.survivors & witnesses)
        self.box: Mailbox[Agree] = Mailbox(RefusalCode.U4, asked, gone)

    @property
    def told(self) -> frozenset[bytes]:
        """Who is shown the bitmap: every survivor; witnesses alone sign it."""
        return frozenset(self.round.ids(self.fixed.survivors))

    @property
    def _quorum(self) -> int:
        return self.round.cohort.session.derived.q

    @property
    def settled(self) -> bool:
        """Whether there is a quorum or can be none any more."""
        return len(self.box) >= self._quorum or self.box.hopeful < self._quorum

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the survivors' bitmap."""
        return (Send(Stage.SURVIVORS, self._body, (device,)),)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take a signature under the survivors; one under anything else does not verify."""
        fixed = self.fixed
        agree = Agree.decode(body, fixed.context, fixed.n, fixed.survivors)
        self.round.check_named(agree.session, agree.round)
        agree.verify(self.round.key_of(device))
        return self.box.put(device, agree)

    def next(self, gone: Iterable[bytes]) -> Unmasking | None:
        """Return the unmasking with the first q signatures; None without a quorum."""
        if len(self.box) < self._quorum:
            return None
        index_of = self.round.cohort.session.index_of
        first = list(self.box.answers.items())[: self._quorum]
        signatures = sorted((index_of[device], agree.signature) for device, agree in first)
        start = self.round.start
        agree_set = AgreeSet(start.session, start.round, tuple(signatures))
        return Unmasking(
            self.round, self.fixed, agree_set, self._total, frozenset(self.box.answers), gone
        )


class Unmasking:
    """UNMASKING: answers come in until every secret is open, or shown to be spoilt (11.2).

    `agree_set` is what the survivors signed, None in bounded mode, where nobody did.

    Attributes:
        resends: how often who is silent was asked again.
    """

    ACCEPTS: ClassVar[Stage] = Stage.UNMASK_RESPONSE

    def __init__(
        self,
        round_: OpenRound,
        fixed: Survivors,
        agree_set: AgreeSet | None,
        total: NDArray[np.uint64],
        agreed: frozenset[bytes],
        gone: Iterable[bytes],
    ) -> None:
        self.round = round_
        self.fixed = fixed
        self.resends = 0
        self._quorum = None if agree_set is None else agree_set.encode()
        self._agreed = agreed
        self._total = total
        self._chosen = survivors_hash(fixed.survivors, fixed.n)
        self._bitmap = fixed.encode()
        asked = round_.ids(fixed.survivors)
        self.box: Mailbox[UnmaskResponse] = Mailbox(RefusalCode.U4, asked, gone)
        self._secrets = Reconstruction(round_.cohort, round_.start, fixed.survivors)

    @property
    def agree_set(self) -> bytes:
        """The quorum's AgreeSet; empty in bounded mode."""
        return self._quorum or b""

    @property
    def opened(self) -> bool:
        """Whether every secret is known and checked."""
        return not self._secrets.pending

    @property
    def hopeless(self) -> bool:
        """Whether no further answer can open every secret."""
        cohort, secrets = self.round.cohort, self._secrets
        indices = (cohort.session.index_of[device] for device in self.box.awaited)
        awaited = frozenset(index for index in indices if index not in cohort.blame.faulty)
        return bool(secrets.convicted) or not awaited or secrets.starves(awaited)

    @property
    def settled(self) -> bool:
        """Whether nothing is waited for."""
        return self.opened or self.hopeless

    def pass_deadline(self, most: int) -> bool:
        """Say whether the silent are to be asked again, at most `most` times.

        They are not where nothing is waited for, or where every secret has so many answers that an
        honest dealer's would be open.
        """
        if not self.settled:
            self._secrets.attempt(Moment.DEADLINE)
        if self.settled or self._secrets.ample or self.resends == most:
            return False
        self.resends += 1
        return True

    def finish(self) -> AbortReason | None:
        """Nobody is waited for any more: try all that is allowed; say what is in the way (11.2)."""
        self._secrets.attempt(Moment.LAST)
        if self.opened:
            return None
        spoilt = self._secrets.enough or self._secrets.convicted
        return AbortReason.BAD_SHARES if spoilt else AbortReason.TOO_FEW_ANSWERS

    def owed(self, device: bytes) -> tuple[Send, ...]:
        """Return the request to answer: the quorum's signatures, in bounded mode the bitmap alone.

        The bitmap goes first to a device whose own signature never came: it may have lost it, and
        without it the quorum says nothing to it.
        """
        bitmap = Send(Stage.SURVIVORS, self._bitmap, (device,))
        if self._quorum is None:
            return (bitmap,)
        request = Send(Stage.AGREE_SET, self._quorum, (device,))
        return (request,) if device in self._agreed else (bitmap, request)

    def take(self, device: bytes, body: bytes, now: float) -> KeepEvidence | None:
        """Take an answer; return evidence when it is a second, different one."""
        session = self.round.cohort.session
        holder = session.index_of[device]
        dealers = session.dealers(holder, self.round.start.active)
        response = UnmaskResponse.decode(body, len(dealers))
        self.round.check_named(response.session, response.round)
        response.verify(self.round.key_of(device))
        if response.survivors_hash != self._chosen:
            raise Ignored(RefusalCode.U4, "an answer for other survivors")
        named = (dealers[place] for place in sorted(response.have))
        shares = dict(zip(named, response.shares, strict=True))
        if not self.round.cohort.good[holder].issuperset(shares):
            raise Ignored(RefusalCode.D1, "a share from a box that the device called bad")
        for share in response.shares:
            decode_element(share)
        if device not in self.box:
            self._secrets.take(holder, shares)
        return self.box.put(device, response)

    def sum(self) -> tuple[RoundResult, Summed]:
        """Return the signed result and the sum, of opened secrets; everything or nothing (11.6).

        Raises:
            RangeError: the bare sum is not one that honest devices can make (12.5).
        """
        start, survivors = self.round.start, self.fixed.survivors
        masks = masks_of_sum(self.round.cohort, start, survivors, self._secrets.opened)
        words = self._total.copy()
        apply_masks(
            words,
            tuple((key, -sign) for key, sign in masks),
            self.round.cohort.session.suite,
            self.round.threads,
        )
        sums, weight_sum = decode_sum(start.params, words, len(survivors))
        result = RoundResult(
            session=start.session,
            round=start.round,
            context=self.round.context,
            n=start.n,
            survivors=survivors,
            result_hash=hash_parts("sa2/v1/result", words_to_bytes(words)),
            weight_sum=int(words[-1]),
        ).sign(self.round.identity.signing)
        return result, Summed(start.round, sums, weight_sum, self.round.ids(survivors))
