"""A shard's place at a broker, beside the root's (docs/protocol.md 17.38).

Rules:
- it has a client id of its own, the CN of a certificate that the federation's authority gave to the
  seat: the aggregator's is the root's, and a second client of that id would be a usurper;
- it hears no requests: the root names the parties that it admits;
- its births are kept on its own state, for whoever comes with the same seat later; its death is
  told where the aggregator's is, so that its guests come again, and nobody else does.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from dreamshare.clock import Clock
from dreamshare.transport.mqtt.link import Draw, MqttStay
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.mqtt.share import Share
from dreamshare.transport.tls import TlsFiles


class MqttSeat(MqttListener):
    """A shard's end of a federation at a broker.

    Args:
        url: of the broker, written as the root writes it.
        seat: hex id of the seat, its client id.
        federation: its hex id.
        tls: the seat's certificate, and trusted roots; wanted for mqtts and wss.
        stay, clock, rng, draw: as for MqttListener.

    Raises:
        ConfigError: the URL, or what it needs, is missing or contradictory.
    """

    def __init__(
        self,
        url: str,
        seat: str,
        federation: str,
        tls: TlsFiles | None = None,
        *,
        stay: MqttStay | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        super().__init__(
            url,
            seat,
            federation,
            tls,
            stay=stay,
            clock=clock,
            rng=rng,
            draw=draw,
            share=Share.SEAT,
        )

    def attend(self, present: Callable[[bool], None]) -> None:
        """Tell `present` whenever the seat comes to the broker or leaves it; before `start`."""
        self._guests.present = present
