"""Which settings count for `dreamshare up`: a file's, or those of a development federation.

Rules:
- options of the command line come last and win;
- a development federation is made where there is none, and its first address is a free one where
  the usual port is taken; from then on its address stays, because devices were told it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.transport.address import grpcs, host_and_port
from dreamshare_aggregator.config import AggregatorConfig, load_config
from dreamshare_cli.development import SAMPLE_TASK, callable_here
from dreamshare_cli.federation import DEFAULT_ENROL, DEFAULT_LINK, FederationFolder
from dreamshare_cli.output import Output
from dreamshare_cli.probing import port_state
from dreamshare_cli.watching import development_page


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says; None leaves it to the settings file."""

    config: Path | None
    federation: Path
    listen: str | None
    store: str | None
    capture: Path | None
    uvloop: bool | None
    web: str | None
    shards: int | None
    as_json: bool


def settle(options: UpOptions, output: Output) -> AggregatorConfig:
    """Return the settings that count; makes a development federation where there is none.

    Raises:
        ConfigError: the settings cannot be read, or the federation cannot be made.
    """
    folder = FederationFolder(options.federation)
    if options.config is None and not folder.exists():
        folder.create(callable_here(options.listen or _usual_link()))
        folder.sample.write_text(SAMPLE_TASK, encoding="utf-8")
        output.show(
            {"event": "created", "federation": str(folder.folder)},
            f"made a development federation in {folder.folder}",
        )
    return settled(options)


def settled(options: UpOptions) -> AggregatorConfig:
    """Return the settings that count; nothing is made.

    Raises:
        ConfigError: they cannot be read, or there are none.
    """
    if options.config is not None:
        config = load_config(options.config)
    else:
        config = _development(FederationFolder(options.federation))
    if options.listen is not None:
        config = dataclasses.replace(config, listen=(options.listen,))
    if options.store is not None:
        config = dataclasses.replace(config, store=options.store)
    if options.capture is not None:
        config = dataclasses.replace(config, capture=options.capture)
    if options.uvloop is not None:
        config = dataclasses.replace(config, uvloop=options.uvloop)
    if options.web is not None:
        web = dataclasses.replace(config.web, listen=options.web or None)
        config = dataclasses.replace(config, web=web)
    if options.shards is not None:
        placed = dataclasses.replace(config.placed_shards, count=options.shards)
        config = dataclasses.replace(config, placed_shards=placed)
    return config


def _development(folder: FederationFolder) -> AggregatorConfig:
    if not folder.exists():
        raise ConfigError(f"there is no federation in {folder.folder}; name settings with --config")
    return AggregatorConfig(
        listen=(folder.link(),),
        identity=folder.aggregator,
        enrol=(folder.enrol(),),
        enrolment=folder.enrolment,
        evidence=folder.folder / "evidence",
        store=f"sqlite:///{folder.folder / 'rounds.db'}",
        web=development_page(folder),
    )


def _usual_link() -> str:
    """Return the usual link, or one with a free port where another federation has that."""
    usual = [host_and_port(link) for link in (DEFAULT_LINK, DEFAULT_ENROL)]
    if all(port_state(host, port) == "free" for host, port in usual):
        return DEFAULT_LINK
    return grpcs(usual[0][0], 0)
