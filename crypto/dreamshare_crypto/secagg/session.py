"""The facts of an epoch that no longer change: roster, thresholds, session id (docs/protocol.md 6).

Rules:
- a Session is made from an accepted offer and an accepted roster and computes everything else
  itself: thresholds, its own place, the session id; the same code serves both ends;
- it holds public values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from dreamshare_crypto.errors import IllegalInputError
from dreamshare_crypto.graph import Derived, Mode, derive_parameters
from dreamshare_crypto.ring import CompleteGraph, ShareGraph, regular_graph, seeders
from dreamshare_crypto.secagg.epoch_messages import KEY_BYTES, PeerKeys, Roster, RosterEntry
from dreamshare_crypto.secagg.masking import Peer
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.schedule import session_id
from dreamshare_crypto.suite import Suite


@dataclass(frozen=True)  # no slots: ids are looked up often and cached
class Session:
    """One epoch's cohort.

    Attributes:
        offer: the accepted offer.
        offer_hash: ho.
        roster: the accepted roster; a member's index is its place in `roster.entries`.
        roster_digest: rd.
        derived: thresholds, computed here (4.1).
        seed: graph_seed; empty in profile C, and in profile K until the seeders have revealed.
        keys: R round keys, joined, by roster index: everybody's at the aggregator, one's own and
            the neighbours' at a device; empty until the set-up has delivered them.
    """

    offer: EpochOffer
    offer_hash: bytes
    roster: Roster
    roster_digest: bytes
    derived: Derived
    seed: bytes = b""
    keys: Mapping[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, offer: EpochOffer, roster: Roster) -> Self:
        """Return the session of an offer and a roster; in profile K `with_seed` completes it.

        Raises:
            Refused: O1 or R2, when the offer's claims give no thresholds for a roster of this size.
        """
        derived = derive_parameters(len(roster.entries), offer.claims)
        return cls(offer, offer.digest(), roster, roster.digest(), derived)

    def with_seed(self, seed: bytes) -> Self:
        """Return the session with its graph_seed, 32 bytes."""
        return replace(self, seed=seed)

    @property
    def regular(self) -> bool:
        """Whether this is profile K: a random graph of `derived.k` neighbours each."""
        return self.derived.k > 0

    @property
    def settled(self) -> bool:
        """Whether everything that names the session is known: in profile K, its seed too."""
        return not self.regular or bool(self.seed)

    @cached_property
    def sid(self) -> bytes:
        """The session id, 32 bytes; empty until the session is settled."""
        if not self.settled:
            return b""
        return session_id(self.offer_hash, self.roster_digest, self.seed, self.derived.encode())

    @cached_property
    def graph(self) -> ShareGraph:
        """Who is whose neighbour, holder and witness.

        Raises:
            IllegalInputError: the graph is not seeded yet.
        """
        if not self.settled:
            raise IllegalInputError("the session's graph is not seeded yet")
        if not self.regular:
            return CompleteGraph(self.n)
        return regular_graph(self.n, self.derived.k, self.derived.committee, self.seed)

    @cached_property
    def seeders(self) -> tuple[int, ...]:
        """Roster indices of who reveals nonces, in seeder order; nobody in profile C (4.9)."""
        if not self.regular:
            return ()
        return seeders(self.roster_digest, self.n, self.derived.seeders)

    @property
    def suite(self) -> Suite:
        """The primitives that the offer names; only a known suite is ever accepted (O1)."""
        return Suite(self.offer.suite)

    @property
    def bounded(self) -> bool:
        """Whether survivors are answered without agreeing first (7.5)."""
        return self.offer.mode == Mode.BOUNDED

    @property
    def n(self) -> int:
        """Size of the roster."""
        return len(self.roster.entries)

    @cached_property
    def ids(self) -> tuple[bytes, ...]:
        """Device ids by roster index."""
        return tuple(entry.id for entry in self.roster.entries)

    @cached_property
    def index_of(self) -> dict[bytes, int]:
        """Roster index by device id."""
        return {device: index for index, device in enumerate(self.ids)}

    def entry(self, index: int) -> RosterEntry:
        """Return a member's roster entry."""
        return self.roster.entries[index]

    def with_keys(self, keys: Mapping[int, bytes]) -> Self:
        """Return the session with members' round keys, by roster index."""
        return replace(self, keys=keys)

    def with_peer_keys(self, peer_keys: PeerKeys, own: int, own_keys: bytes) -> Self:
        """Return the session with the neighbours' keys, as sent, and one's own."""
        theirs = zip(self.graph.neighbours(own), peer_keys.keys, strict=True)
        return self.with_keys({own: own_keys, **dict(theirs)})

    def dealers(self, holder: int, active: frozenset[int]) -> tuple[int, ...]:
        """Return whose shares a holder is asked for in a round, ascending (7.6)."""
        return tuple(dealer for dealer in self.graph.holders(holder) if dealer in active)

    def peer(self, index: int, r: int) -> Peer:
        """Return a member as the other end of a pair in round `r`."""
        key = self.keys[index][KEY_BYTES * r : KEY_BYTES * (r + 1)]
        return Peer(self.ids[index], key)
