"""`dreamshare shard`: run a shard of an aggregator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def shard(
    root: Annotated[
        str, typer.Argument(help="Where the aggregator takes shards: its setting `shards`.")
    ],
    listen: Annotated[
        list[str],
        typer.Option(
            "--listen",
            "-l",
            help="Where devices come in: grpcs://host:port, or a broker as the aggregator's own "
            "`listen` names it, with --seat. Repeatable.",
        ),
    ],
    identity: Annotated[
        Path, typer.Option("--identity", "-i", help="The aggregator's identity; never another's.")
    ] = Path("aggregator.key"),
    seat: Annotated[
        Path | None,
        typer.Option(help="This shard's seat at the broker: `dreamshare broker config --seats`."),
    ] = None,
    enrolment: Annotated[
        Path | None,
        typer.Option(help="The aggregator's enrolment folder, for the newest revocation list."),
    ] = None,
) -> None:
    """Take devices' masked vectors beside an aggregator and add them (Ctrl-C or SIGTERM ends it).

    A shard is a process of the aggregator: it has its identity, on this machine or another. Devices
    name a shard's address where they would name the aggregator's, or a broker where both are, and
    know nothing of shards there. One that dies costs its devices a retry, at another shard or when
    it is started again. It keeps nothing on disk.
    """
    from dreamshare_cli.sharding import ShardOptions, run_shard

    raise typer.Exit(run_shard(ShardOptions(root, tuple(listen), identity, enrolment, seat)))
