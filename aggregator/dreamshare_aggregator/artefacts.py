"""Large values as files beside the database: checkpoints, results, sums.

    FOLDER/9f/9f86d081….12        the SHA-256 of the content, and the token of who wrote it

Rules:
- a value above `INLINE` bytes is a file, a smaller one stays in its row: databases are slow with
  large values, file systems with small ones;
- a file is whole and on the disk before the row that names it: written beside, synced, renamed;
- what is read has the hash that its name says, or it is damaged and says so;
- a file goes when no row names it any more. Names carry the fencing token of their writer, and who
  removes files at its start removes those of earlier tokens only: an aggregator that was overtaken
  and wakes up can hurt nothing that the active one wrote (docs/adr/0016).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError

INLINE = 256 * 1024
"""Bytes up to which a value stays in its row."""

_NAME = re.compile(r"([0-9a-f]{64})\.([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a value is: in the row itself, or in the file that `artefact` names."""

    inline: bytes
    artefact: str | None = None


class Artefacts:
    """The files of one store; `folder` None keeps everything in rows."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._token = 0
        self._live: set[str] = set()
        self._pinned: Counter[str] = Counter()

    @property
    def in_use(self) -> bool:
        """Whether there is any file, so that rows have to be looked at."""
        return bool(self._live)

    def open(self, token: int, named: Iterable[str]) -> None:
        """Begin a life: check that what rows name is there, remove what earlier lives left.

        Args:
            token: the fencing token of this aggregator.
            named: every name in the database.

        Raises:
            ConfigError: a file is missing.
        """
        self._token, self._live = token, set(named)
        if self._folder is None and not self._live:
            return
        if self._folder is None:
            raise ConfigError("the database names artefacts; set `artefacts` to their folder")
        missing = [name for name in self._live if not self._path(name).is_file()]
        if missing:
            raise ConfigError(
                f"{len(missing)} of {len(self._live)} artefacts are not in {self._folder}, for "
                f"example {missing[0]}; is it the right folder, and mounted? Otherwise restore it"
            )
        for path in self._folder.glob("??/*"):
            found = _NAME.search(path.name)
            if found and int(found[2]) < token and path.name not in self._live:
                path.unlink(missing_ok=True)

    @asynccontextmanager
    async def kept(self, values: Sequence[bytes]) -> AsyncIterator[list[Kept]]:
        """Store values; inside the block their files stay, named by a row or not yet.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        names: list[str] = []
        try:
            places: list[Kept] = []
            for value in values:
                if self._folder is None or len(value) <= INLINE:
                    places.append(Kept(value))
                    continue
                digest = await asyncio.to_thread(_digest, value)
                name = f"{digest}.{self._token}"
                self._pinned[name] += 1  # before the file is looked for
                names.append(name)
                self._live.add(name)
                await asyncio.to_thread(write_whole, self._path(name), value)
                places.append(Kept(b"", name))
            yield places
        finally:
            self._pinned.subtract(names)

    async def read(self, place: Kept) -> bytes:
        """Return a value; raises ConfigError where its file is damaged or missing."""
        if place.artefact is None:
            return place.inline
        return await asyncio.to_thread(self._read, place.artefact)

    def keep_only(self, named: Iterable[str]) -> None:
        """Remove the files that no row names; called while nobody else writes rows."""
        for name in self._live - set(named):
            if self._pinned[name] <= 0:
                self._path(name).unlink(missing_ok=True)
                self._live.discard(name)

    def damaged(self, named: Iterable[str]) -> list[str]:
        """Return the names whose files are missing or hold something else."""
        return [name for name in named if not self._is_whole(name)]

    def _is_whole(self, name: str) -> bool:
        try:
            self._read(name)
        except ConfigError:
            return False
        return True

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        try:
            value = path.read_bytes()
        except OSError as error:
            text = f"the artefact {path} cannot be read: {error.strerror}"
            raise ConfigError(f"{text}; restore it from a backup") from None
        if _digest(value) != name.partition(".")[0]:
            raise ConfigError(f"the artefact {path} is damaged; restore it from a backup")
        return value

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise ConfigError("the database names artefacts; set `artefacts` to their folder")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"the database names an artefact {name!r}, which is no name")
        return self._folder / name[:2] / name


def write_whole(path: Path, value: bytes) -> None:
    """Write a file that is whole or absent, whenever the machine stops; keeps one that is there.

    Raises:
        OSError: it cannot be written; the text names it.
    """
    if path.exists():  # whole, because it has its name
        return
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # mode 0600
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        for folder in (path.parent, path.parent.parent):
            _sync_folder(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        text = f"the artefact {path} cannot be written: {error.strerror}"
        raise OSError(error.errno, text) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
