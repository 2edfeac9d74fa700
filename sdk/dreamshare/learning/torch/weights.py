"""Folders of other people's weights: of a path, or of an id on the hub.

Rules:
- a folder is checked before anything of it is loaded: its digest, and that no code lies in it,
  whatever a version of a library would do with that;
- of the hub nothing is fetched but what the digest covers (`LOADED`); offline it is not asked.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from dreamshare.errors import ConfigError
from dreamshare.learning.generators.base import LOADED, checked


def folder_of(weights: str, digest: str, *, offline: bool) -> Path:
    """Return the folder of weights whose digest is right.

    Raises:
        ConfigError: there are no such weights, they are others, or they come with code.
    """
    folder = located(weights, offline=offline)
    if next(folder.rglob("*.py"), None) is not None:
        raise ConfigError(f"the weights at {weights} come with code, which is not run; take it out")
    return checked(folder, digest)


def located(weights: str, *, offline: bool) -> Path:
    """Return the folder of weights, fetched where it is an id of the hub; nothing is checked.

    Raises:
        ConfigError: there are no such weights.
    """
    folder = Path(weights)
    if folder.is_dir():
        return folder
    try:
        wanted = [f"*{ending}" for ending in LOADED]
        return Path(snapshot_download(weights, local_files_only=offline, allow_patterns=wanted))
    except (OSError, ValueError) as error:
        where = "in the hub's cache" if offline else "on the hub"
        raise ConfigError(f"{weights!r} is no folder and not {where} ({error})") from None
