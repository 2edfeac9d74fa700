"""What a store keeps in confidence, sealed by a key of its own: key slots, weights, late answers.

    MARK[16] | nonce[12] | box        AES-256-GCM under KDF(keystore's key; `sa2/v1/store`)

Rules (docs/protocol.md 9.3, docs/adr/0024):
- a device whose keys the system's keystore seals (`keystore`) seals its store, too; one whose keys
  lie in a file does not: whoever reads the store could read the key beside it;
- which of the two it is, the content says: both kinds are read, and what is written next is sealed
  or open as the keys are; MARK and the place are bound, so no content stands in for another;
- nonces are random: one key serves 2^32 writes, a century of one a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from dreamshare.errors import ConfigError
from dreamshare_crypto.aead import KEY_BYTES, NONCE_BYTES, open_box, seal
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.kdf import derive
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from dreamshare_edge.keystore import Keystore, sealing_key
from dreamshare_edge.log import write_atomically

MARK = b"dreamshare-seal1"
"""How sealed content begins; what a store keeps open begins otherwise."""


class Seals(Protocol):
    """How a store's confidential content lies on the disk."""

    def closed(self, place: str, content: bytes) -> bytes:
        """Return what is written for `content`."""
        ...

    def opened(self, place: str, content: bytes) -> bytes:
        """Return what was meant; ConfigError where it cannot be opened, or is another place's."""
        ...


class NoSeals:
    """Content lies open, in files of mode 0600; sealed content is refused in words."""

    def closed(self, place: str, content: bytes) -> bytes:
        return content

    def opened(self, place: str, content: bytes) -> bytes:
        if content.startswith(MARK):
            raise ConfigError(
                f"the store's {place} is sealed, but the device's keys are not sealed any more: "
                "restore the sealed device.key, or begin with an empty store"
            )
        return content


class KeyedSeals:
    """Content is sealed as it is written; content of before is read as it is.

    Args:
        key: of the system's keystore.
        entropy: of nonces.
    """

    def __init__(self, key: Secret, entropy: Entropy) -> None:
        self._key = derive(key, b"", KEY_BYTES, "sa2/v1/store")
        self._entropy = entropy

    def closed(self, place: str, content: bytes) -> bytes:
        nonce = self._entropy.draw(NONCE_BYTES)
        return MARK + nonce + seal(self._key, nonce, content, _bound(place), Suite.AES)

    def opened(self, place: str, content: bytes) -> bytes:
        if not content.startswith(MARK):
            return content
        nonce, box = content[len(MARK) :][:NONCE_BYTES], content[len(MARK) + NONCE_BYTES :]
        try:
            return open_box(self._key, nonce, box, _bound(place), Suite.AES)
        except (AuthenticationError, ParameterError):
            raise ConfigError(
                f"the store's {place} was changed, or is sealed by another key: a store belongs to "
                "the keys beside it"
            ) from None


def seals_for(
    identity: Path, keystore: Keystore | None = None, entropy: Entropy | None = None
) -> Seals:
    """Return how the store of the device with this identity file is sealed.

    Raises:
        ConfigError: the keys are sealed and the keystore has no key for them, or does not answer.
    """
    key = sealing_key(identity, keystore)
    return NoSeals() if key is None else KeyedSeals(key, entropy or SystemEntropy())


def place_of_slot(task: str, slot: str) -> str:
    """Return the name of a key slot; `task` in hexadecimal."""
    return f"slot {slot} of task {task}"


def place_of_kept(name: str) -> str:
    """Return the name of a kept blob."""
    return f"blob {name}"


def reseal(store: Path, before: Seals, after: Seals) -> None:
    """Rewrite everything confidential in a store that nobody uses.

    Cut off, it is run again: content says of itself whether it is sealed.

    Raises:
        ConfigError: something cannot be opened; it stays as it was.
        OSError: the disk refuses.
    """
    for path, place in _files(store):
        content = before.opened(place, path.read_bytes())
        write_atomically(path, after.closed(place, content))


def _files(store: Path) -> Iterator[tuple[Path, str]]:
    """Yield every confidential file with its place; what a kill left half written is left out."""
    for path in sorted((store / "kept").glob("[!.]*")):
        yield path, place_of_kept(unquote(path.name))
    for path in sorted((store / "tasks").glob("*/slots/[!.]*")):
        yield path, place_of_slot(path.parent.parent.name, unquote(path.name))


def _bound(place: str) -> bytes:
    return MARK + place.encode()
