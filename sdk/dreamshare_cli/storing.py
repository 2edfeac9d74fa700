"""What `dreamshare store` does.

Objects with `--json`, one a line:
    check     {"database": "rounds.db", "version": 2, "rows": {"tasks": 3, …}, "artefacts": 1,
               "holder": "host, process 12", "wrong": []}
    migrate   {"database": "rounds.db", "before": 1, "after": 2}
    backup    {"database": "copy/rounds.db", "size": 90112, "artefacts": 1}        restore: the same
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_aggregator.backup import Copied, back_up
from dreamshare_aggregator.backup import restore as put_back
from dreamshare_aggregator.checkup import check_store, migrate_store
from dreamshare_aggregator.config import load_config
from dreamshare_aggregator.database import StoreSettings
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_cli.output import Output


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is; the URL may hold a password and is not shown."""

    url: str
    settings: StoreSettings

    def __repr__(self) -> str:
        return "Place(...)"


def place_of(
    config: Path | None, federation: Path, store: str | None, artefacts: Path | None
) -> Place:
    """Return the store that options name: an URL, a settings file, or a development federation.

    Raises:
        ConfigError: the settings file cannot be read, or there is no federation.
    """
    url, folder = store, artefacts
    if config is not None:
        settings = load_config(config)
        url, folder = url or settings.store, folder or settings.artefacts
    elif url is None:
        made = FederationFolder(federation)
        if not made.exists():
            raise ConfigError(
                f"there is no federation in {federation}; name the database: --config or --store"
            )
        url = f"sqlite:///{made.folder / 'rounds.db'}"
    return Place(url, StoreSettings(artefacts=folder, patience_s=10.0))


def check_it(place: Place, as_json: bool) -> Exit:
    """Print what a check found; FAILED where something is wrong."""
    found = asyncio.run(check_store(place.url, place.settings))
    rows = ", ".join(f"{count} {name}" for name, count in found.rows.items())
    lines = [
        f"{found.database}: version {found.version}",
        *([f"  {rows}; {found.artefacts} artefacts"] if found.rows else []),
        *([f"  active, or last active: {found.holder}"] if found.holder else []),
        *(f"  WRONG: {line}" for line in found.wrong),
        *([] if found.wrong else ["  nothing is wrong"]),
    ]
    Output(as_json).show(asdict(found), "\n".join(lines))
    return Exit.FAILED if found.wrong else Exit.OK


def migrate_it(place: Place, as_json: bool) -> Exit:
    """Migrate; print the versions before and after."""
    before, after = asyncio.run(migrate_store(place.url, place.settings))
    text = f"version {before} is now {after}" if before != after else f"is of version {after}"
    Output(as_json).show({"before": before, "after": after}, f"the database {text}")
    return Exit.OK


def back_it_up(place: Place, into: Path, as_json: bool) -> Exit:
    """Make a backup; print what was copied."""
    _show(back_up(place.url, place.settings.artefacts, into), as_json)
    return Exit.OK


def restore_it(place: Place, backup: Path, as_json: bool) -> Exit:
    """Restore a backup; print what was copied."""
    _show(put_back(backup, place.url, place.settings.artefacts), as_json)
    return Exit.OK


def _show(copied: Copied, as_json: bool) -> None:
    fields = {**asdict(copied), "database": str(copied.database)}
    text = f"{copied.database}: {copied.size} bytes, {copied.artefacts} artefacts"
    Output(as_json).show(fields, text)
