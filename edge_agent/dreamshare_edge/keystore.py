"""A device's keys: in a file of mode 0600, or sealed by a key that the system's keystore keeps.

    dreamshare agent keys --to keyring        # and --to file, back again

A sealed file is JSON: {"format": "dreamshare-sealed/1", "key": id, "nonce": ..., "box": ...}. The
box is AES-256-GCM under 32 bytes which the keystore has as `dreamshare / <id>`; format and id are
bound to it.

Rules:
- which of the two it is, the file itself says: whoever reads an identity reads both kinds;
- what replaces a sealed file, and what waits beside it for an authority's answer, is sealed by the
  same key; nothing is written in the clear meanwhile;
- a file is sealed by a key that the keystore has given back, and a key is dropped when no file
  needs it: killed in between, one of the two forms is whole;
- `keyring` (extra `keyring`) is imported when a keystore is first asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dreamshare.errors import ConfigError
from dreamshare_crypto.aead import KEY_BYTES, NONCE_BYTES, open_box, seal
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import (
    document_of,
    encode_private,
    read_private_bytes,
    replace_private,
)
from dreamshare_crypto.suite import Suite

if TYPE_CHECKING:
    from dreamshare_crypto.enrolment import Pending

FORMAT = "dreamshare-sealed/1"
SERVICE = "dreamshare"
"""Under which the keystore lists its entries."""

_MARK = f'"{FORMAT}"'.encode()
_ID_BYTES = 8


class Keystore(Protocol):
    """A system's store of secrets, as text by name; every method raises ConfigError."""

    def get(self, name: str) -> str | None:
        """Return a secret, or None."""
        ...

    def put(self, name: str, secret: str) -> None:
        """Keep a secret."""
        ...

    def drop(self, name: str) -> None:
        """Forget a secret."""
        ...


class SystemKeystore:
    """The keystore of this system, by `keyring`: Secret Service, KWallet, Keychain, ..."""

    def get(self, name: str) -> str | None:
        try:
            import keyring
            from keyring.errors import KeyringError
        except ModuleNotFoundError:
            raise ConfigError(_MISSING) from None
        try:
            return keyring.get_password(SERVICE, name)
        except (KeyringError, OSError, RuntimeError) as error:
            raise _refused(error) from None

    def put(self, name: str, secret: str) -> None:
        self.get(name)  # says what is missing
        import keyring
        from keyring.errors import KeyringError

        try:
            keyring.set_password(SERVICE, name, secret)
        except (KeyringError, OSError, RuntimeError) as error:
            raise _refused(error) from None

    def drop(self, name: str) -> None:
        self.get(name)
        import keyring
        from keyring.errors import KeyringError

        try:
            keyring.delete_password(SERVICE, name)
        except (KeyringError, OSError, RuntimeError) as error:
            raise _refused(error) from None


_MISSING = "the keys are sealed by the system's keystore: pip install 'dreamshare[keyring]'"


def _refused(error: Exception) -> ConfigError:
    return ConfigError(
        f"the system's keystore does not answer ({type(error).__name__}); is it unlocked, and does "
        "this account have one? `dreamshare agent keys --to file` needs it a last time"
    )


def load_identity(path: Path, keystore: Keystore | None = None) -> Identity:
    """Return the identity in a file, sealed or not.

    Raises:
        ConfigError: the keystore has no key for it, or does not answer.
        ParameterError: as `Identity.load`.
    """
    return Identity.decode(_opened(path, keystore), str(path))


def save_identity(
    path: Path, identity: Identity, entropy: Entropy, keystore: Keystore | None = None
) -> None:
    """Replace an identity's file, sealed as the one before; raises as `load_identity`."""
    _replace(path, identity.encode(), path, entropy, keystore)


def load_pending(path: Path, keystore: Keystore | None = None) -> Pending:
    """Return keys and request that wait for an answer; raises as `load_identity`."""
    from dreamshare_crypto.enrolment import Pending  # nothing of it while no answer waits

    return Pending.decode(_opened(path, keystore), str(path))


def save_pending(
    path: Path,
    pending: Pending,
    beside: Path,
    entropy: Entropy,
    keystore: Keystore | None = None,
) -> None:
    """Keep them, sealed where the identity `beside` is; raises as `load_identity`."""
    _replace(path, pending.encode(), beside, entropy, keystore)


def is_sealed(path: Path) -> bool:
    """Say whether a file is a sealed one; False where there is none."""
    return path.exists() and _MARK in read_private_bytes(path)[:200]


def sealing_key(path: Path, keystore: Keystore | None = None) -> Secret | None:
    """Return the keystore's key that seals an identity's file; None where it lies open.

    Raises:
        ConfigError: the keystore has no key for it, or does not answer.
    """
    if not is_sealed(path):
        return None
    return _key(_name(path), path, keystore)


def to_keystore(path: Path, entropy: Entropy, keystore: Keystore | None = None) -> bool:
    """Seal an identity's file; False where it was sealed already; raises as `load_identity`."""
    store = keystore or SystemKeystore()
    if is_sealed(path):
        load_identity(path, store)
        return False
    plain = load_identity(path).encode()
    name, key = entropy.draw(_ID_BYTES).hex(), entropy.draw(KEY_BYTES)
    store.put(name, key.hex())
    if store.get(name) != key.hex():
        raise ConfigError("the system's keystore does not keep what it is given; nothing changed")
    pending, secret = _pending_of(path), Secret(key, "keystore key")
    if pending.exists():
        replace_private(pending, _sealed(_opened(pending, store), name, secret, entropy))
    replace_private(path, _sealed(plain, name, secret, entropy))
    return True


def to_file(path: Path, keystore: Keystore | None = None) -> bool:
    """Open a sealed identity's file for good; False where it was open; raises as above."""
    store = keystore or SystemKeystore()
    if not is_sealed(path):
        load_identity(path)
        return False
    name = _name(path)
    for each in (_pending_of(path), path):  # the identity last: it says which key to drop
        if is_sealed(each):
            replace_private(each, _opened(each, store))
    store.drop(name)
    return True


def _pending_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.pending")


def _replace(
    path: Path, plain: bytes, like: Path, entropy: Entropy, keystore: Keystore | None
) -> None:
    if not is_sealed(like):
        replace_private(path, plain)
        return
    name = _name(like)
    replace_private(path, _sealed(plain, name, _key(name, like, keystore), entropy))


def _sealed(plain: bytes, name: str, key: Secret, entropy: Entropy) -> bytes:
    nonce = entropy.draw(NONCE_BYTES)
    box = seal(key, nonce, plain, _bound(name), Suite.AES)
    fields = {"format": FORMAT, "key": name, "nonce": nonce.hex(), "box": box.hex()}
    return encode_private(fields)


def _opened(path: Path, keystore: Keystore | None) -> bytes:
    data = read_private_bytes(path)
    if _MARK not in data[:200]:
        return data
    file = document_of(data, str(path))
    file.text("format")
    name, nonce = file.text("key"), file.raw("nonce", NONCE_BYTES)
    box = file.raw("box")
    file.end()
    try:
        return open_box(_key(name, path, keystore), nonce, box, _bound(name), Suite.AES)
    except AuthenticationError:
        raise ConfigError(f"{path} was changed, or its key in the keystore was") from None


def _key(name: str, path: Path, keystore: Keystore | None) -> Secret:
    found = (keystore or SystemKeystore()).get(name)
    if found is None or len(found) != 2 * KEY_BYTES:
        raise ConfigError(
            f"{path} is sealed by the key {SERVICE} / {name}, which this system's keystore does "
            "not have: another account sealed it, or the keystore was replaced; enrol again if it "
            "is lost"
        )
    return Secret(bytes.fromhex(found), "keystore key")


def _name(path: Path) -> str:
    return str(json.loads(read_private_bytes(path))["key"])


def _bound(name: str) -> bytes:
    return f"{FORMAT} {name}".encode()
