"""The rollback anchor in a file that does not survive a reboot (docs/protocol.md 9.7).

    /run/user/<uid>/dreamshare/<store>.anchor      where there is such a folder, else
    /dev/shm/dreamshare-<uid>/<store>.anchor       or the folder that the settings name

Rules:
- the file says how many records the store's journals hold, and is replaced after each fsync of
  theirs; it needs no fsync of its own, since it is not meant to survive a power failure;
- `<store>` names one folder on one file system: a copy of the store, on this machine or elsewhere,
  finds no anchor, and two agents never share one;
- the file names the boot that it was written in, so that one on a disk does not survive either,
  and what cannot be read counts as missing;
- anchors that were not rewritten for a week are removed: no session lives longer than a day (4.11).

It does not notice a snapshot that includes memory, nor an owner who restores store and anchor both.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.protocol.journal import Anchor, MemoryAnchor
from dreamshare_edge.log import write_private

_LOG = logging.getLogger(__name__)
_MAGIC = "dreamshare anchor 1"
_WEEK_S = 7 * 86_400.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SIZE_LIMIT = 256


class FileAnchor:
    """An anchor file in the first of some folders; the others are read too.

    Args:
        store: the device's folder, which exists.
        folders: of this user alone (0700), all in memory-backed storage, best first.
    """

    def __init__(self, store: Path, folders: Sequence[Path]) -> None:
        if not folders:
            raise ConfigError("an anchor needs a folder in storage that survives the process")
        name = f"{_name(store)}.anchor"
        self._paths = tuple(folder / name for folder in folders)
        self._boot = _boot()
        self._swept = False

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._paths[0]

    def read(self) -> int | None:
        """Return the highest number in any of the folders, None where none was written."""
        found = [self._parse(path) for path in self._paths]
        return max((number for number in found if number is not None), default=None)

    def write(self, number: int) -> None:
        """Replace the number; raises OSError."""
        _private_folder(self.path.parent)
        write_private(self.path, f"{_MAGIC}\n{self._boot}\n{number}\n".encode())
        if not self._swept:
            self._swept = True
            _sweep(self.path)

    def _parse(self, path: Path) -> int | None:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(handle, "rb") as file:
                text = file.read(_SIZE_LIMIT).decode("ascii")
            magic, boot, number, rest = text.split("\n")
            whole = magic == _MAGIC and boot == self._boot and not rest and number.isdecimal()
        except (OSError, ValueError):
            return None
        return int(number) if whole else None


def anchor_for(store: Path, folder: Path | None = None) -> Anchor:
    """Return the anchor of a store, in `folder` or where this machine has room for one.

    Without any room the anchor lasts as long as the process, a warning says so, and the device
    sits out the rest of its epoch after every restart.

    Raises:
        ConfigError: `folder` cannot be used.
    """
    if folder is not None:
        try:
            _private_folder(folder)
        except OSError as error:
            raise ConfigError(f"anchor_folder {folder} cannot be used: {error.strerror}") from None
        return FileAnchor(store, (folder,))
    usable = []
    for place in _places():
        with contextlib.suppress(OSError):
            _private_folder(place)
            usable.append(place)
    if usable:
        return FileAnchor(store, usable)
    _LOG.warning(
        "there is neither /run/user/%d nor /dev/shm to keep a rollback anchor in: after a restart "
        "this device will wait for the next epoch. Set anchor_folder to a folder on a tmpfs.",
        os.geteuid(),
    )
    return MemoryAnchor()


def _places() -> tuple[Path, ...]:
    user = os.geteuid()
    return Path(f"/run/user/{user}/dreamshare"), Path(f"/dev/shm/dreamshare-{user}")  # noqa: S108


def _private_folder(folder: Path) -> None:
    """Make a folder that only this user can enter; raises OSError where it is somebody else's."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "it is not a folder", str(folder))
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(0, "others may write to it; make it this user's, mode 0700")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(0, "it cannot be written", str(folder))


def _name(store: Path) -> str:
    """Return what only this folder, and no copy of it, is called."""
    found = store.stat()
    place = f"{store.resolve()}\0{found.st_dev}\0{found.st_ino}"
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _boot() -> str:
    """Return the id of the running kernel's boot, empty where there is none to read."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _sweep(mine: Path) -> None:
    """Remove anchors beside `mine`, just written, that are a week older than it."""
    newest = mine.stat().st_mtime
    for path in mine.parent.glob("*.anchor"):
        with contextlib.suppress(OSError):
            if newest - path.lstat().st_mtime > _WEEK_S:
                path.unlink()
