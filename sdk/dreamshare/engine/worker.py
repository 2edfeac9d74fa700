"""A worker process of an engine: takes pieces from a socket, one at a time, and answers there.

Rules:
- it ends at once, with whatever it started, when its engine closes the socket or dies: nothing
  computes for nobody;
- what a piece prints goes where the engine sent its standard error.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from dreamshare.engine.batches import Failed, Finished, Reason, Told
from dreamshare.engine.calling import Place, call, failed, resolved, unsendable
from dreamshare.engine.parcels import Gone, Parcel, Received, receive


@dataclass(frozen=True, slots=True)
class Order:
    """Announces a piece; a parcel with its argument follows.

    Attributes:
        function: its name.
        piece: its place in its batch.
        fresh: whether the batch's common argument comes first, in a parcel of its own; otherwise
            it is the one before's.
    """

    function: str
    piece: int
    fresh: bool


class Worker:
    """What the process's main thread does.

    Args:
        peer: the engine.
        place: its place there.
    """

    def __init__(self, peer: socket.socket, place: int) -> None:
        self._peer = peer
        self._place = place
        self._sending = threading.Lock()
        self._common: Callable[[], object] = _nothing

    def run(self, parcels: SimpleQueue[Received]) -> None:
        """Compute for ever; it is the reader that ends the process."""
        while True:
            order = parcels.get().value()
            if not isinstance(order, Order):
                raise TypeError(f"an engine sends orders, not {type(order).__name__}")
            if order.fresh:
                self._common = _Unpacked(parcels.get())
            self._send(self._done(order, parcels.get()))

    def _done(self, order: Order, argument: Received) -> Finished[object] | Failed:
        site = Place(self._place, lambda text: self._send(Told(order.piece, text)))
        try:
            function, common = resolved(order.function), self._common()
            own = argument.value()
        except Exception as error:  # noqa: BLE001 - whatever importing a module raises
            return failed(order.piece, Reason.RAISED, error)
        return call(function, common, order.piece, own, site)

    def _send(self, answer: Told | Finished[object] | Failed) -> None:
        try:
            parcel = Parcel(answer)
        except Exception as error:  # noqa: BLE001 - pickling raises whatever a value's parts raise
            parcel = Parcel(unsendable(answer.piece, "result", error))
        with self._sending:
            parcel.send(self._peer)
        parcel.close()


class _Unpacked:
    """A parcel's value, unpickled at its first use and kept."""

    def __init__(self, parcel: Received) -> None:
        self._parcel = parcel
        self._values: list[object] = []

    def __call__(self) -> object:
        if not self._values:
            self._values.append(self._parcel.value())
        return self._values[0]


def _nothing() -> object:
    return None


def _read(peer: socket.socket, parcels: SimpleQueue[Received]) -> None:
    """Pass parcels on; end the process, and all that it started, with the engine."""
    try:
        while True:
            parcels.put(receive(peer))
    except Gone:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Serve the engine at the other end of a descriptor.

    Args:
        arguments: the descriptor's number; the place.
    """
    peer = socket.socket(fileno=int(arguments[0]))
    parcels: SimpleQueue[Received] = SimpleQueue()
    threading.Thread(target=_read, args=(peer, parcels), daemon=True).start()
    Worker(peer, int(arguments[1])).run(parcels)
