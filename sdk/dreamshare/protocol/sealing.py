"""Bodies that a relay carries and cannot read (docs/protocol.md 14.2, 14.3, 17.32).

Rules:
- what is for one receiver is sealed to the key in its certificate, what is for a task's devices is
  sealed once, to the group key of its session; the header is associated data in both, so that a
  ciphertext serves no other sender, receiver, task, session, round or place in the sequence;
- a group key travels in a frame of its own, sealed to each receiver, before the first broadcast
  that uses it. It hides from the relay alone: origin is the aggregator's signature;
- broadcasts are numbered per group key, everything else per receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.ids import EVERYBODY
from dreamshare.protocol.border import crypto_border
from dreamshare_crypto.certificates import Certificate
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.envelope import (
    Flag,
    Frame,
    Header,
    open_broadcast,
    open_sealed,
    seal_broadcast,
    seal_to,
    sign_frame,
)
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secret import Secret

GROUP_KEY_STAGE = 255
"""Stage of a frame whose body is a group key; `key_id` of its header is the key's."""

GROUP_KEY_BYTES = 32

MOST_GROUPS = 64
"""Group keys that a device holds; the one that came first is dropped for another."""


def seal_frame(
    identity: Identity, receiver: Certificate, header: Header, body: bytes, entropy: Entropy
) -> Frame:
    """Return the signed frame of a body that only `receiver` opens (14.2)."""
    final, sealed = seal_to(receiver.kem, header, body, entropy)
    return sign_frame(identity.signing, final, sealed)


class Group:
    """The aggregator's side of one session's group key.

    Args:
        identity: the aggregator's.
        key_id: 1 to 65,535, unique among the keys that a device may hold.
        birth: of the aggregator's process, or later.
        entropy: source of the key and of every salt.
    """

    def __init__(self, identity: Identity, key_id: int, birth: int, entropy: Entropy) -> None:
        self.key_id = key_id
        self._identity = identity
        self._birth = birth
        self._entropy = entropy
        self._key = Secret(entropy.draw(GROUP_KEY_BYTES), "group key")
        self._sequence = 0

    def frame(self, header: Header, body: bytes) -> Frame:
        """Return the next broadcast: `body` under `header`'s task, session, round and stage."""
        self._sequence += 1
        numbered = replace(
            header,
            receiver=EVERYBODY,
            key_id=self.key_id,
            birth=self._birth,
            sequence=self._sequence,
        )
        final, sealed = seal_broadcast(self._key, numbered, body, self._entropy)
        return sign_frame(self._identity.signing, final, sealed)

    def key_frame(self, receiver: Certificate, header: Header) -> Frame:
        """Return the frame that hands the key to one receiver, under its own numbers."""
        named = replace(header, stage=GROUP_KEY_STAGE, key_id=self.key_id)
        return seal_frame(self._identity, receiver, named, self._key.reveal(), self._entropy)


@dataclass(frozen=True, slots=True)
class _Held:
    """A group key and what it is for; `last` is the newest broadcast's place."""

    key: Secret
    task: bytes
    session: bytes
    last: tuple[int, int] = (0, 0)


class Keyring:
    """The receiver's side: its own key, and the group keys that it was handed.

    Args:
        identity: the receiver's.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._groups: dict[int, _Held] = {}

    def keep(self, header: Header, body: bytes) -> None:
        """Keep the group key of an opened frame of `GROUP_KEY_STAGE`; PeerProtocolError."""
        if len(body) != GROUP_KEY_BYTES or not header.key_id:
            raise PeerProtocolError("a group key of a wrong length, or without a number")
        self._groups.pop(header.key_id, None)
        self._groups[header.key_id] = _Held(Secret(body, "group key"), header.task, header.session)
        while len(self._groups) > MOST_GROUPS:
            del self._groups[next(iter(self._groups))]

    def growing(self, header: Header) -> Callable[[], None]:
        """Check a broadcast's place before its signature; call what is returned after it.

        Raises:
            PeerProtocolError: no such key, another task or session, or a repeat.
        """
        held = self._groups.get(header.key_id)
        if held is None or (held.task, held.session) != (header.task, header.session):
            text = "a broadcast to a group that this party is not in"
            raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
        place = (header.birth, header.sequence)
        if place <= held.last:
            raise PeerProtocolError("a broadcast that came before", AbortCode.UNEXPECTED)

        def took() -> None:
            self._groups[header.key_id] = replace(held, last=place)

        return took

    def open(self, header: Header, body: bytes) -> bytes:
        """Return what a verified frame says.

        Raises:
            PeerProtocolError: it does not open with what this party holds.
        """
        with crypto_border():
            if header.flags == Flag.SEALED:
                return open_sealed(self._identity.kem, header, body)
            return open_broadcast(self._groups[header.key_id].key, header, body)
