"""Moving a device's keys, and its store with them, between files and the system's keystore.

Rules:
- the store is held meanwhile: an agent that runs, or starts, would write the other kind;
- towards the keystore the keys go first, back they go last: whatever a kill leaves, the key that
  opens the rest is still there, and the same call goes on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dreamshare_crypto.entropy import Entropy
from dreamshare_edge.keystore import Keystore, to_file, to_keystore
from dreamshare_edge.sealing import NoSeals, reseal, seals_for
from dreamshare_edge.store import lock_folder


def move_to_keystore(
    identity: Path, store: Path, entropy: Entropy, keystore: Keystore | None = None
) -> bool:
    """Seal an identity's file and its store; False where the file was sealed already.

    Raises:
        ConfigError: an agent runs, or the keystore does not answer.
        OSError: the disk refuses.
    """
    with _held(store):
        changed = to_keystore(identity, entropy, keystore)
        seals = seals_for(identity, keystore, entropy)
        reseal(store, seals, seals)
    return changed


def move_to_file(identity: Path, store: Path, keystore: Keystore | None = None) -> bool:
    """Open both for good; False where the file was open already; raises as above."""
    with _held(store):
        reseal(store, seals_for(identity, keystore), NoSeals())
        return to_file(identity, keystore)


@contextlib.contextmanager
def _held(store: Path) -> Iterator[None]:
    if not store.is_dir():  # no agent has run yet
        yield
        return
    handle = lock_folder(store)
    try:
        yield
    finally:
        os.close(handle)
