"""From answers to secrets: interpolate, check, decode, attribute (docs/protocol.md section 11).

Rules:
- a secret is what the first t answers give, checked against what its owner published: s against
  com[r], p by recomputing pk[r]; nothing unchecked is used, nothing checked is computed twice
  (11.1);
- where the check fails, all answers are decoded: at most three times a secret, when two answers
  more than t are there, when t + 2a are or a deadline passed, and at the very end. There is no
  search over subsets (11.2);
- blame takes t + a answers on one polynomial: then t honest holders carry it, and no liars alone
  (11.3, 11.4). With fewer, a checked secret is used and nobody is marked;
- shares of the other kind have no place here: U_r decides what was asked for (11.4).
- keys are rebuilt one after the other: X25519 keeps the interpreter's lock, and two threads were
  measured to gain nothing. Their masks are handed over at once, so that expanding is spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from dreamshare_crypto.decoding import Decoded, NotDecodable, decode, radius
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.secagg.events import FaultReason
from dreamshare_crypto.secagg.masking import pair_sign, self_mask_key, signed_pair_masks
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.schedule import commitment, pair_key
from dreamshare_crypto.secagg.server_setup import Cohort
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import Interpolator, encode_element

DECODINGS = 3
"""Most decodings of one secret (11.2)."""


class WrongSecret(CryptoError):
    """A reconstructed secret is not the one that its owner published."""


class Moment(IntEnum):
    """When secrets are tried, which decides how hard."""

    ARRIVAL = 0  # an answer came
    DEADLINE = 1  # the time is over; who has not answered is asked again
    LAST = 2  # nobody is left to wait for


@dataclass(slots=True)
class _Tries:
    """What was tried for one secret."""

    first: tuple[int, ...] = ()  # the holders whose answers were interpolated
    decoded: tuple[int, ...] = ()  # the holders whose answers were decoded
    decodings: int = 0


class Reconstruction:
    """The secrets of one round, opened as answers come in.

    Attributes:
        opened: the checked secret of each dealer so far, by roster index: s of a survivor, p of
            who is none.
        convicted: dealers whose sharing is proven bad.
    """

    def __init__(self, cohort: Cohort, start: RoundStart, survivors: frozenset[int]) -> None:
        self._cohort = cohort
        self._blame = cohort.blame
        self._start = start
        self._survivors = survivors
        self._t = cohort.session.derived.t
        self._interpolator = Interpolator(self._t)
        self._holders = _holders_left(cohort, start, survivors)
        self._answers: dict[int, dict[int, bytes]] = {dealer: {} for dealer in self._holders}
        self._dealers: dict[int, set[int]] = {}  # by holder, whose shares it has
        for dealer, holders in self._holders.items():
            for holder in holders:
                self._dealers.setdefault(holder, set()).add(dealer)
        self._whole = 0  # answers that held every share they could
        self._tries = {dealer: _Tries() for dealer in self._answers}
        self.opened: dict[int, Secret] = {}
        self.convicted: set[int] = set()

    @property
    def pending(self) -> tuple[int, ...]:
        """The dealers whose secret is not open."""
        return tuple(dealer for dealer in self._answers if dealer not in self.opened)

    @property
    def enough(self) -> bool:
        """Whether every closed secret has its t answers."""
        return all(self._count(dealer) >= self._t for dealer in self.pending)

    @property
    def ample(self) -> bool:
        """Whether every closed secret has t + 2a answers: an honest dealer's would be open."""
        ample = self._t + 2 * self._blame.tolerated
        return all(self._count(dealer) >= ample for dealer in self.pending)

    def starves(self, awaited: frozenset[int]) -> bool:
        """Say whether some secret cannot have t answers even if `awaited` (indices) all answer."""
        lost = len(self._survivors) - len(awaited) - self._whole
        if self._blame.clean and min(map(len, self._holders.values())) - lost >= self._t:
            return False  # whoever is lost, each secret has holders enough
        return any(
            self._count(dealer)
            + sum(self._blame.uses(dealer, h) for h in self._holders[dealer] & awaited)
            < self._t
            for dealer in self.pending
        )

    def _count(self, dealer: int) -> int:
        """Return how many answers there are that can be used for a dealer."""
        answers = self._answers[dealer]
        if self._blame.clean:
            return len(answers)
        return sum(self._blame.uses(dealer, holder) for holder in answers)

    # ---- opening ---------------------------------------------------------------------------------

    def take(self, holder: int, shares: Mapping[int, bytes]) -> None:
        """Take a holder's answer, shares by dealer, and open what can be opened."""
        for dealer, share in shares.items():
            self._answers[dealer][holder] = share
        self._whole += shares.keys() >= self._dealers.get(holder, set())
        if self.enough:
            self.attempt(Moment.ARRIVAL)

    def attempt(self, moment: Moment) -> None:
        """Try every closed secret that has t answers; again when a liar was found and left out."""
        while True:
            faulty = len(self._blame.faulty)
            for dealer in self.pending:
                self._try(dealer, moment)
            if len(self._blame.faulty) == faulty:
                return

    def _try(self, dealer: int, moment: Moment) -> None:
        answers = self._answers[dealer].items()
        held = [(h, share) for h, share in answers if self._blame.uses(dealer, h)]
        holders, shares = tuple(h for h, _ in held), [share for _, share in held]
        t, tries = self._t, self._tries[dealer]
        if len(held) < t or dealer in self.convicted:
            return
        if holders[:t] != tries.first:
            tries.first = holders[:t]
            value = self._interpolator.combine([h + 1 for h in holders[:t]], shares[:t])
            if self._opens(dealer, value):
                return
        if self._is_due(tries, holders, moment):
            tries.decoded, tries.decodings = holders, tries.decodings + 1
            with suppress(NotDecodable):
                self._judge(dealer, holders, decode(t, [h + 1 for h in holders], shares))
        certain = len(tries.decoded) >= t + 2 * self._blame.tolerated
        if moment is Moment.LAST and dealer not in self.opened and certain:
            self._convict(dealer, FaultReason.NOT_DECODABLE)

    def _is_due(self, tries: _Tries, holders: tuple[int, ...], moment: Moment) -> bool:
        """Say whether to decode now: it can help, and one decoding is kept for the end."""
        t, a, m, before = self._t, self._blame.tolerated, len(holders), len(tries.decoded)
        if holders == tries.decoded or (radius(m, t) == 0 and m < t + a):
            return False
        if moment is Moment.LAST:
            return tries.decodings < DECODINGS
        reached = any(before < stage <= m for stage in (t + 2, t + 2 * a))
        return tries.decodings < DECODINGS - 1 and (reached or moment is Moment.DEADLINE)

    def _judge(self, dealer: int, holders: tuple[int, ...], decoded: Decoded) -> None:
        carried = len(holders) - len(decoded.wrong) >= self._t + self._blame.tolerated
        if not self._opens(dealer, decoded.secret):
            if carried:
                self._convict(dealer, FaultReason.CONTRADICTION)
        elif carried:
            for place in decoded.wrong:
                self._blame.mark(dealer, holders[place])

    def _convict(self, dealer: int, reason: FaultReason) -> None:
        self.convicted.add(dealer)
        self._blame.accuse(dealer, reason)

    def _opens(self, dealer: int, value: int) -> bool:
        """Keep a dealer's secret if it is the one that it published, and say whether it is."""
        secret = Secret(encode_element(value), "reconstructed secret")
        try:
            self._check(dealer, secret)
        except WrongSecret:
            return False
        self.opened[dealer] = secret
        return True

    def _check(self, dealer: int, secret: Secret) -> None:
        session, r = self._cohort.session, self._start.round
        device = session.ids[dealer]
        if dealer in self._survivors:
            published = self._cohort.commitments[dealer][r]
            if commitment(secret, session.offer_hash, device, r) != published:
                raise WrongSecret(f"the self-mask secret of roster index {dealer} does not check")
        elif pair_key(secret, session.offer_hash, device, r).public != session.peer(dealer, r).key:
            raise WrongSecret(f"the pair secret of roster index {dealer} does not check")


def _holders_left(
    cohort: Cohort, start: RoundStart, survivors: frozenset[int]
) -> dict[int, frozenset[int]]:
    """Return who can answer for each secret that the sum needs, by dealer, ascending (11.5).

    That is s of each survivor and p of each other active device with a surviving neighbour: who has
    none left no mask in the sum.
    """
    graph, good = cohort.session.graph, cohort.good
    left: dict[int, frozenset[int]] = {}
    for dealer in sorted(start.active):
        around = survivors.intersection(graph.holders(dealer))
        if around or dealer in survivors:
            left[dealer] = frozenset(holder for holder in around if dealer in good[holder])
    return left


def masks_of_sum(
    cohort: Cohort,
    start: RoundStart,
    survivors: frozenset[int],
    secrets: Mapping[int, Secret],
) -> tuple[tuple[Secret, int], ...]:
    """Return the masks that are left in the sum of the survivors' vectors, with their signs.

    That is each survivor's own mask, and the pair masks between survivors and devices that were
    active and did not survive; those among survivors have cancelled (11.5).

    Args:
        cohort: the session.
        start: the round.
        survivors: U_r.
        secrets: the checked secrets (`Reconstruction.opened`): s of every survivor, p of every
            other active device that a survivor shares a mask with.
    """
    session, r, context = cohort.session, start.round, start.context()
    masks: list[tuple[Secret, int]] = []
    for dealer, secret in sorted(secrets.items()):
        device = session.ids[dealer]
        if dealer in survivors:
            masks.append((self_mask_key(secret, context, device), 1))
            continue
        left = (index for index in session.graph.neighbours(dealer) if index in survivors)
        peers = tuple(session.peer(index, r) for index in left)
        own = pair_key(secret, session.offer_hash, device, r)
        keys = signed_pair_masks(own, device, peers, context)
        masks += (
            (key, pair_sign(peer.id, device)) for (key, _), peer in zip(keys, peers, strict=True)
        )
    return tuple(masks)
