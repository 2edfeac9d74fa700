"""An aggregator that signs whatever a test wants, and colluders that say all they know.

Rules:
- the set-up is the honest one, so that devices stand where a round can begin;
- every message is made with the aggregator's own key, unless a test names another: what a device
  refuses here it refuses for what the message says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import Params, decode_sum, words_from_bytes
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.events import (
    AbortReason,
    ClientEffect,
    Payload,
    Received,
    Refuse,
    Stage,
)
from dreamshare_crypto.secagg.masking import self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.phases import session_of
from dreamshare_crypto.secagg.round_messages import (
    MaskedInput,
    RoundAbort,
    RoundResult,
    RoundStart,
)
from dreamshare_crypto.secagg.schedule import pair_key
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import Agree, AgreeSet, Survivors, UnmaskResponse
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.secagg.vault import RoundSecrets
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import Interpolator, encode_element
from tests.sim.secagg.federation import payload_of, spec_terms
from tests.sim.secagg.harness import Cohort

PAYLOAD = payload_of("the dreams of cycle 0")


class Hostile:
    """The aggregator's key in a test's hands."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self.key = cohort.aggregator.signing
        session = session_of(cohort.parties[0].client.phase)
        assert session is not None
        self.session: Session = session

    @property
    def everyone(self) -> frozenset[int]:
        return frozenset(range(self.session.n))

    # ---- messages --------------------------------------------------------------------------------

    def params(self, **changes: object) -> Params:
        """Return a round's encoding as an honest aggregator completes it, then changed."""
        derived = self.session.derived
        template = self.session.offer.template[0].params
        honest = replace(
            template,
            a_min=derived.a_min,
            u_min=derived.u_min,
            d=derived.d,
            round_nonce=b"nonce of a round",
        )
        return replace(honest, **changes)  # type: ignore[arg-type]

    def start(
        self,
        r: int = 0,
        active: Iterable[int] | None = None,
        payload: Payload = PAYLOAD,
        params: Params | None = None,
        **changes: object,
    ) -> RoundStart:
        start = RoundStart(
            session=self.session.sid,
            round=r,
            n=self.session.n,
            active=self.everyone if active is None else frozenset(active),
            payload_hash=payload.hash,
            params=self.params() if params is None else params,
            deadline=int(self.cohort.now) + 60,
        )
        return replace(start, **changes).sign(self.key)  # type: ignore[arg-type]

    def survivors(
        self, start: RoundStart, survivors: Iterable[int], **changes: object
    ) -> Survivors:
        shown = Survivors(
            session=start.session,
            round=start.round,
            context=start.context(),
            n=start.n,
            survivors=frozenset(survivors),
        )
        return replace(shown, **changes).sign(self.key)  # type: ignore[arg-type]

    def agree(self, number: int, shown: Survivors) -> bytes:
        """Return a device's signature under a set of survivors, as a colluder would give it."""
        agree = Agree(shown.session, shown.round, shown.context, shown.n, shown.survivors)
        return agree.sign(self.cohort.parties[number].identity.signing).signature

    def agree_set(self, shown: Survivors, signers: Iterable[int]) -> AgreeSet:
        signatures = tuple((number, self.agree(number, shown)) for number in signers)
        return AgreeSet(shown.session, shown.round, signatures)

    def result(self, shown: Survivors, **changes: object) -> RoundResult:
        result = RoundResult(
            session=shown.session,
            round=shown.round,
            context=shown.context,
            n=shown.n,
            survivors=shown.survivors,
            result_hash=bytes(32),
            weight_sum=0,
        )
        return replace(result, **changes).sign(self.key)  # type: ignore[arg-type]

    def abort(self, start: RoundStart, reason: AbortReason = AbortReason.CANCELLED) -> RoundAbort:
        return RoundAbort(start.session, start.round, start.context(), reason).sign(self.key)

    # ---- moving them -----------------------------------------------------------------------------

    def give_start(
        self, number: int, start: RoundStart | bytes, payload: Payload = PAYLOAD
    ) -> tuple[ClientEffect, ...]:
        """Open a round at one device; it computes and sends its vector when it accepts."""
        body = start if isinstance(start, bytes) else start.encode()
        return self.cohort.tell(number, Received(Stage.ROUND_START, body, payload))

    def give(
        self,
        number: int,
        message: Survivors | AgreeSet | RoundResult | RoundAbort,
    ) -> tuple[ClientEffect, ...]:
        stages = {
            Survivors: Stage.SURVIVORS,
            AgreeSet: Stage.AGREE_SET,
            RoundResult: Stage.ROUND_RESULT,
            RoundAbort: Stage.ROUND_ABORT,
        }
        return self.cohort.give(number, stages[type(message)], message.encode())

    # ---- what leaks ------------------------------------------------------------------------------

    def vector(self, number: int) -> MaskedInput:
        """Return the last masked vector that a device sent."""
        words = self.session.offer.template[0].params.words
        return MaskedInput.decode(
            self.cohort.parties[number].sent(Stage.MASKED_INPUT)[-1], 8 * words
        )

    def agreements(self, number: int, shown: Survivors) -> bytes | None:
        """Return the signature that a device really gave under this set of survivors."""
        for body in self.cohort.parties[number].sent(Stage.AGREE):
            agree = Agree.decode(body, shown.context, shown.n, shown.survivors)
            if agree.signature == self.agree(number, shown):
                return agree.signature
        return None

    def shares_sent(self) -> int:
        """Return how many shares left all honest devices together."""
        return sum(len(party.sent(Stage.UNMASK_RESPONSE)) for party in self.cohort.parties)

    def secrets_of(self, number: int, r: int) -> RoundSecrets:
        """Return what a colluder knows of a round, before its machine forgets it."""
        return self.cohort.parties[number].client.phase.member.vault.open(r)  # type: ignore[union-attr]

    def shares_in(self, number: int, start: RoundStart) -> Mapping[int, bytes]:
        """Return the shares by dealer in a device's last answer."""
        body = self.cohort.parties[number].sent(Stage.UNMASK_RESPONSE)[-1]
        return self.shares_of(body, start)

    def shares_of(self, body: bytes, start: RoundStart) -> Mapping[int, bytes]:
        """Return the shares by dealer in an UnmaskResponse."""
        response = UnmaskResponse.decode(body, len(start.active))
        dealers = sorted(start.active)
        places = sorted(response.have)
        return {dealers[p]: share for p, share in zip(places, response.shares, strict=True)}

    def reconstruct(self, shares: Mapping[int, bytes]) -> Secret | None:
        """Return the secret of one dealer from shares by holder; None when they are too few."""
        t = self.session.derived.t
        if len(shares) < t:
            return None
        chosen = sorted(shares.items())[:t]
        value = Interpolator(t).combine([i + 1 for i, _ in chosen], [s for _, s in chosen])
        return Secret(encode_element(value))

    def unmask_one(
        self,
        target: int,
        start: RoundStart,
        s: Secret,
        pairs: Mapping[int, Secret],
    ) -> NDArray[np.float64]:
        """Take off a device's vector its own mask and the pair masks with `pairs` (p by device).

        Returns what the first field decodes to, or raises RangeError where a mask is left.
        """
        session, context, r = self.session, start.context(), start.round
        words = words_from_bytes(self.vector(target).vector)
        target_id = session.ids[target]
        masks = [(self_mask_key(s, context, target_id), -1)]
        for other, p in pairs.items():
            own = pair_key(p, session.offer_hash, session.ids[other], r)
            ((key, sign),) = signed_pair_masks(
                own, session.ids[other], (session.peer(target, r),), context
            )
            masks.append((key, sign))  # the target has the other sign, so this takes it off
        apply_masks(words, masks, session.suite)
        sums, _ = decode_sum(start.params, words, 1)
        return sums[0]


@cache
def _set_up(n: int, terms: EpochTerms) -> Cohort:
    cohort = Cohort(n, terms)
    cohort.set_up()
    return cohort


def ready_cohort(n: int = 10, terms: EpochTerms | None = None) -> Hostile:
    """Return a hostile aggregator over a cohort that is set up, by default that of section 16."""
    return Hostile(_set_up(n, spec_terms() if terms is None else terms).fork())


def refused(hostile: Hostile, start: RoundStart, code: str, payload: Payload = PAYLOAD) -> None:
    """Give the start to device 0 and insist on the refusal and on nothing else happening."""
    client = hostile.cohort.parties[0].client
    before = client.phase
    effects = hostile.give_start(0, start, payload)
    assert [type(effect) for effect in effects] == [Refuse]
    assert (effects[0].code, effects[0].round) == (code, start.round)
    assert client.phase is before
    assert client.counts[RefusalCode(code)] == 1


def dropped(hostile: Hostile, stage: Stage, body: bytes, code: str) -> None:
    """Give the bytes to device 0 and insist that they are dropped and counted."""
    client = hostile.cohort.parties[0].client
    before, count = client.phase, client.counts.get(RefusalCode(code), 0)
    event = Received(stage, body, PAYLOAD if stage is Stage.ROUND_START else None)
    assert hostile.cohort.tell(0, event) == ()
    assert client.phase is before
    assert client.counts[RefusalCode(code)] == count + 1


def answer(
    hostile: Hostile,
    r: int,
    payload: Payload = PAYLOAD,
    active: Iterable[int] = range(10),
    survivors: Iterable[int] | None = None,
) -> None:
    """Let device 0 take part in a round up to its result."""
    members = frozenset(active)
    start = hostile.start(r, active=members, payload=payload)
    hostile.give_start(0, start, payload)
    shown = hostile.survivors(start, members if survivors is None else survivors)
    hostile.give(0, shown)
    hostile.give(0, hostile.agree_set(shown, sorted(shown.survivors)[:6]))
    hostile.give(0, hostile.result(shown))
