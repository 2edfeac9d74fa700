"""A round that the aggregator opens: its RoundStart and what stays the same until it ends (7).

Rules:
- the owner says what is summed and how; thresholds, the active set and the nonce come from here;
- what no device would accept (an encoding outside the offer, times above its maxima) is refused
  before it leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.noise import noise_fault
from dreamshare_crypto.secagg.events import AbortReason, Opened
from dreamshare_crypto.secagg.round_checks import matches_template
from dreamshare_crypto.secagg.round_messages import RoundAbort, RoundStart
from dreamshare_crypto.secagg.server_setup import Cohort


@dataclass(frozen=True, slots=True)
class OpenRound:
    """What does not change while a round is open.

    Attributes:
        identity: the aggregator's.
        cohort: who could take part.
        start: the signed RoundStart.
        context: rctx.
        reveal_s: seconds for agreeing and for each attempt at unmasking.
        threads: how many the aggregator computes with.
    """

    identity: Identity
    cohort: Cohort
    start: RoundStart
    context: bytes
    reveal_s: float
    threads: int = 1

    def ids(self, indices: Iterable[int]) -> tuple[bytes, ...]:
        """Return device ids in roster order."""
        return tuple(self.cohort.session.ids[index] for index in sorted(indices))

    def check_named(self, session: bytes, number: int) -> None:
        """Raise AuthenticationError when a message names another session or round."""
        if (session, number) != (self.start.session, self.start.round):
            raise AuthenticationError("a message of another session or round")

    def key_of(self, device: bytes) -> bytes:
        """Return the identity key of a member."""
        session = self.cohort.session
        return session.entry(session.index_of[device]).certificate.ik

    def abort(self, reason: AbortReason) -> RoundAbort:
        """Return the signed message that gives the round up."""
        start = self.start
        abort = RoundAbort(start.session, start.round, self.context, reason)
        return abort.sign(self.identity.signing)


def open_round(
    identity: Identity,
    cohort: Cohort,
    number: int,
    active: frozenset[int],
    event: Opened,
    entropy: Entropy,
    now: float,
    threads: int = 1,
) -> OpenRound:
    """Return round `number` of the cohort's session, open for the roster indices in `active`.

    Raises:
        ParameterError: no step of the offer has this encoding, the crowd is too small for its noise
            (12.6), or a time is not above 0 and at most the offer's.
    """
    session, deadlines = cohort.session, cohort.session.offer.deadlines
    if not 0 < event.collect_s <= deadlines.collect_s:
        raise ParameterError(f"collect_s must be above 0, at most {deadlines.collect_s}")
    if not 0 < event.reveal_s <= deadlines.reveal_s:
        raise ParameterError(f"reveal_s must be above 0, at most {deadlines.reveal_s}")
    start = RoundStart(
        session=session.sid,
        round=number,
        n=session.n,
        active=active,
        payload_hash=event.payload_hash,
        params=_complete(event.params, cohort, entropy),
        deadline=math.ceil(now + event.collect_s),
    ).sign(identity.signing)
    return OpenRound(identity, cohort, start, start.context(), event.reveal_s, threads)


def _complete(params: Params, cohort: Cohort, entropy: Entropy) -> Params:
    """Return the owner's encoding with what only the session knows, and a fresh nonce."""
    session = cohort.session
    complete = replace(
        params,
        a_min=session.derived.a_min,
        u_min=session.derived.u_min,
        d=session.derived.d,
        round_nonce=entropy.draw(len(params.round_nonce)),
    )
    fault = noise_fault(complete, session.derived)
    if fault:
        raise ParameterError(f"no device would take part: {fault}")
    if not any(matches_template(complete, step.params) for step in session.offer.template):
        raise ParameterError("no step of the epoch's template has this encoding")
    return complete
