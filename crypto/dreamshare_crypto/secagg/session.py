"""The facts of an epoch that no longer change: roster, thresholds, session id (docs/protocol.md 6).

Rules:
- a Session is made from an accepted offer and an accepted roster and computes everything else
  itself: thresholds, its own place, the session id; the same code serves both ends;
- it holds public values only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from dreamshare_crypto.graph import Derived, Mode, derive_parameters
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
        sid: the session id, 32 bytes.
        keys: per member, its R round keys joined; empty until the set-up has delivered them.
    """

    offer: EpochOffer
    offer_hash: bytes
    roster: Roster
    roster_digest: bytes
    derived: Derived
    sid: bytes
    keys: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, offer: EpochOffer, roster: Roster) -> Self:
        """Return the session of an offer and a roster.

        Raises:
            Refused: O1 or R2, when the offer's claims give no thresholds for a roster of this size.
        """
        derived = derive_parameters(len(roster.entries), offer.claims)
        offer_hash, roster_digest = offer.digest(), roster.digest()
        sid = session_id(offer_hash, roster_digest, derived.encode())
        return cls(offer, offer_hash, roster, roster_digest, derived, sid)

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

    def with_keys(self, keys: tuple[bytes, ...]) -> Self:
        """Return the session with every member's round keys, by roster index."""
        return replace(self, keys=keys)

    def with_peer_keys(self, peer_keys: PeerKeys, own: int, own_keys: bytes) -> Self:
        """Return the session with the keys of the others, as sent, and one's own put in place."""
        others = peer_keys.keys
        return self.with_keys((*others[:own], own_keys, *others[own:]))

    def peer(self, index: int, r: int) -> Peer:
        """Return a member as the other end of a pair in round `r`."""
        key = self.keys[index][KEY_BYTES * r : KEY_BYTES * (r + 1)]
        return Peer(self.ids[index], key)
