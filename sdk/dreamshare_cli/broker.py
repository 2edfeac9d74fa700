"""`dreamshare broker`: what an operator's MQTT broker has to be told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="MQTT brokers: their configuration.")


class Flavour(StrEnum):
    """A kind of broker."""

    MOSQUITTO = "mosquitto"
    MOSQUITTO_2_1 = "mosquitto-2.1"
    EMQX = "emqx"
    AWS = "aws"
    HIVEMQ = "hivemq"


@app.callback()
def _top() -> None:
    pass


@app.command()
def config(
    out: Annotated[Path, typer.Option(help="Folder to write to; made where it is missing.")],
    at: Annotated[
        Path | None,
        typer.Option(
            help="Where the broker will find these files, absolute, e.g. in its container; "
            "default: where they are written."
        ),
    ] = None,
    flavour: Annotated[Flavour, typer.Option(help="Kind of broker.")] = Flavour.MOSQUITTO,
    folder: Annotated[
        Path, typer.Option("--federation", "-f", help="The federation's folder.")
    ] = Path("federation"),
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address that parties call the broker by; may be repeated."),
    ] = None,
    bind: Annotated[str, typer.Option(help="Address that the broker listens on.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[int, typer.Option(help="Of MQTT over TLS; 0 for none.")] = 8883,
    websocket_port: Annotated[
        int, typer.Option(help="Of MQTT over websockets over TLS; 0 for none.")
    ] = 8443,
    data: Annotated[
        Path, typer.Option(help="Where the broker keeps its sessions, absolute.")
    ] = Path("/var/lib/mosquitto"),
    namespace: Annotated[str, typer.Option(help="What every topic begins with.")] = "dreamshare",
    seats: Annotated[
        int, typer.Option(help="How many shards may come to the broker; a seat is made for each.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON objects, one a line.")
    ] = False,
) -> None:
    """Write a broker's configuration, access lists and, beside them, its TLS certificate.

    Certificate and key are made once and kept by a later call. Mosquitto 2.0 is tested against
    hostile clients; the other flavours say in their files that they are not.
    """
    from dreamshare_cli.brokering import BrokerOptions, write_config

    write_config(
        BrokerOptions(
            flavour=flavour.value,
            federation=folder,
            out=out,
            at=at,
            hosts=tuple(host or ()),
            bind=bind,
            port=port,
            websocket_port=websocket_port,
            data=data,
            namespace=namespace,
            seats=seats,
            as_json=as_json,
        )
    )
