"""Work in processes of this machine, started when they are first needed and kept.

Rules:
- a worker is a fresh interpreter (`dreamshare.engine.worker`), not a fork: threads, locks and
  open connections of this process do not reach it, nor does the script that runs here;
- it computes with one thread, so that results do not depend on the machine;
- a worker that dies takes one piece with it, which another begins again; a piece that kills worker
  after worker fails as LOST, with the last words of the last;
- it ends with this process, whatever ends that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import IO, Generic

from dreamshare.engine.batches import A, Batch, C, Failed, Finished, R, Told
from dreamshare.engine.calling import GivenUp, lost, unsendable
from dreamshare.engine.environment import ONE_THREAD
from dreamshare.engine.parcels import Gone, Parcel, receive
from dreamshare.engine.running import Performing, Piece
from dreamshare.engine.worker import Order
from dreamshare.errors import ConfigError

_START = "import sys; from dreamshare.engine.worker import main; main(sys.argv[1:])"

LAST_WORDS = 2000
"""Bytes of a dead worker's standard error that its failure shows."""


class _Died(Exception):
    """The worker ended in the middle of a piece."""


class ProcessBackend:
    """Computes in worker processes.

    Args:
        at_once: how many.

    Raises:
        ConfigError: this system cannot pass descriptors between processes.
    """

    def __init__(self, at_once: int) -> None:
        if not hasattr(socket, "send_fds"):
            raise ConfigError("engine 'processes' needs a POSIX system; use engine 'local'")
        self._workers: list[_Worker | None] = [None] * at_once

    def begin(self, batch: Batch[C, A, R]) -> Performing[A, R]:
        try:
            common = Parcel(batch.common)
        except Exception as error:
            raise unsendable(0, "common argument", error).error() from error
        return _Elsewhere(self, batch, common)

    def worker(self, place: int, fresh: bool) -> _Worker:
        """Return the worker of a place: a new one where none lives, or a fresh one is wanted."""
        worker = self._workers[place]
        if worker is None or fresh or not worker.alive:
            if worker is not None:
                worker.end()
            self._workers[place] = worker = _Worker(place)
        return worker

    def close(self) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.end()
        self._workers = [None] * len(self._workers)


class _Elsewhere(Generic[C, A, R]):
    """A batch in worker processes."""

    def __init__(self, backend: ProcessBackend, batch: Batch[C, A, R], common: Parcel) -> None:
        self._backend = backend
        self._batch = batch
        self._common = common
        self._lock = threading.Lock()
        self._busy: set[_Worker] = set()
        self._stopped = False

    def perform(self, piece: Piece[A]) -> Finished[R] | Failed:
        try:
            argument = Parcel(piece.argument)
        except Exception as error:  # noqa: BLE001 - pickling raises whatever a value's parts raise
            return unsendable(piece.number, "argument", error)
        try:
            return self._performed(piece, argument)
        finally:
            argument.close()

    def _performed(self, piece: Piece[A], argument: Parcel) -> Finished[R] | Failed:
        words = ""
        for _ in range(self._batch.retries + 1):
            worker = self._taken(piece.place)
            try:
                return worker.compute(self._batch.name, self._common, piece, argument)
            except _Died as death:
                words = str(death)
            finally:
                with self._lock:
                    self._busy.discard(worker)
                if self._batch.fresh:
                    worker.end()
        return lost(piece.number, self._batch.retries, words)

    def _taken(self, place: int) -> _Worker:
        with self._lock:
            if self._stopped:
                raise GivenUp
            worker = self._backend.worker(place, self._batch.fresh)
            self._busy.add(worker)
            return worker

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for worker in self._busy:
                worker.kill()

    def end(self) -> None:
        self._common.close()


class _Worker:
    """A worker process, used by one thread at a time; `kill` by any.

    Args:
        place: its own.
    """

    def __init__(self, place: int) -> None:
        self._peer, theirs = socket.socketpair()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker
        self._holds: Parcel | None = None
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                (sys.executable, "-c", _START, str(theirs.fileno()), str(place)),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,  # Ctrl-C is this process's to pass on
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def compute(
        self, function: str, common: Parcel, piece: Piece[A], argument: Parcel
    ) -> Finished[R] | Failed:
        """Have a piece computed.

        Raises:
            _Died: the worker did.
        """
        try:
            Parcel(Order(function, piece.number, common is not self._holds)).send(self._peer)
            if common is not self._holds:
                common.send(self._peer)
                self._holds = common
            argument.send(self._peer)
            while True:
                answer = receive(self._peer).value()
                match answer:
                    case Told(_, text):
                        piece.tell(text)
                    case Finished() | Failed():
                        return answer
                    case _:
                        raise _Died(f"it answered with a {type(answer).__name__}")
        except (Gone, OSError):
            self.kill()
            code = self._process.wait()
            raise _Died(f"exit status {code}. {self._last_words()}") from None
        except BaseException:  # an answer that nobody took would be taken for the next piece's
            self.kill()
            raise

    def kill(self) -> None:
        """End the process and whatever it started; returns at once."""
        if self._process.returncode is not None:  # its number may be another's by now
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def end(self) -> None:
        """End the process and wait for that. Idempotent."""
        self.kill()
        self._process.wait()
        self._peer.close()
        self._words.close()

    def _last_words(self) -> str:
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - LAST_WORDS))
        return self._words.read().decode(errors="replace").strip()
