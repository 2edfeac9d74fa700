"""Work in threads of this process: nothing is copied, and Python runs one thread at a time.

It pays where work leaves Python for long: key streams, signatures, large arrays.
"""

from __future__ import annotations

import threading
from typing import Generic

from dreamshare.engine.batches import A, Batch, C, Failed, Finished, R
from dreamshare.engine.calling import GivenUp, Place, call
from dreamshare.engine.running import Performing, Piece


class LocalBackend:
    """Computes in the thread that waits."""

    def begin(self, batch: Batch[C, A, R]) -> Performing[A, R]:
        return _Here(batch)

    def close(self) -> None:
        """Nothing to give back."""


class _Here(Generic[C, A, R]):
    def __init__(self, batch: Batch[C, A, R]) -> None:
        self._batch = batch
        self._stopped = threading.Event()

    def perform(self, piece: Piece[A]) -> Finished[R] | Failed:
        def tell(text: str) -> None:
            if self._stopped.is_set():
                raise GivenUp
            piece.tell(text)

        if self._stopped.is_set():
            raise GivenUp
        site = Place(piece.place, tell)
        return call(self._batch.function, self._batch.common, piece.number, piece.argument, site)

    def stop(self) -> None:
        self._stopped.set()

    def end(self) -> None:
        """Nothing is kept."""
