"""Work on a Ray cluster: one that exists, at its address, or one on this machine for the while.

Rules:
- Ray does what it is good at: it places pieces by the resources that they name, keeps the common
  argument in its store, and begins a piece again elsewhere when its worker or its node dies;
- every machine of the cluster has the same version of this package, and of the module with the
  function: functions are looked up by name, never sent;
- a cluster is an operator's own, on a network of its own: whoever reaches its ports and has its
  token can run anything on it, so they are never opened to devices;
- nothing is reported to Ray's makers from here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Generic

from dreamshare.engine.batches import A, Batch, C, Failed, Finished, R, Reason, Told
from dreamshare.engine.calling import GivenUp, Place, call, failed, lost, resolved, unsendable
from dreamshare.engine.running import Performing, Piece
from dreamshare.errors import ConfigError, Unreachable

try:
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError
except ModuleNotFoundError as missing:
    raise ConfigError("engine 'ray' needs Ray: pip install 'dreamshare[ray]'") from missing

STARTS = 2
"""Of a cluster on this machine: on a busy one, a process of Ray's now and then never comes up."""


class RayBackend:
    """Computes on a cluster.

    Args:
        address: see `EngineConfig`.
        at_once: pieces at a time; 0 for one a core of the cluster.

    Raises:
        Unreachable: there is no cluster at the address.
    """

    def __init__(self, address: str, at_once: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ours = not ray.is_initialized()
        if self._ours:
            _reach(address, at_once)
        self.at_once = at_once or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def begin(self, batch: Batch[C, A, R]) -> Performing[A, R]:
        try:
            common = ray.put(batch.common)
        except Exception as error:
            raise unsendable(0, "common argument", error).error() from error
        return _OnCluster(batch, common)

    def close(self) -> None:
        if self._ours:
            ray.shutdown()


def _reach(address: str, at_once: int) -> None:
    """Join the cluster at the address; start one here where there is none.

    Raises:
        Unreachable: see `RayBackend`.
    """
    starts = 1 if address else STARTS
    for start in range(1, starts + 1):
        try:
            ray.init(
                address=address or "local",
                num_cpus=None if address else at_once or None,
                include_dashboard=None if address else False,
                configure_logging=False,
                log_to_driver=False,
            )
            return
        except Exception as error:  # Ray has no type for a process that does not come up
            ray.shutdown()
            if start == starts:
                place = address or "this machine"
                raise Unreachable(f"no Ray cluster at {place}: {error}") from error


class _OnCluster(Generic[C, A, R]):
    """A batch on the cluster."""

    def __init__(self, batch: Batch[C, A, R], common: ray.ObjectRef[C]) -> None:
        self._batch = batch
        self._common = common
        self._lock = threading.Lock()
        self._running: set[ray.ObjectRefGenerator] = set()
        self._stopped = False
        # at most so many calls a worker process; 0 for any number
        self._task = ray.remote(max_calls=int(batch.fresh))(_stream).options(
            num_returns="streaming",
            max_retries=batch.retries,
            name=batch.name,
            num_cpus=batch.resources.cpus,
            num_gpus=batch.resources.gpus,
            resources=dict(batch.resources.named),
        )

    def perform(self, piece: Piece[A]) -> Finished[R] | Failed:
        try:
            argument = ray.put(piece.argument)
        except Exception as error:  # noqa: BLE001 - pickling raises whatever a value's parts raise
            return unsendable(piece.number, "argument", error)
        for _ in range(self._batch.retries + 1):
            try:
                outcome = self._followed(piece, argument)
            except RayTaskError as error:
                return _outside(piece.number, error)
            except RayError as error:  # Ray has begun it again as often as it may
                if self._stopped:
                    raise GivenUp from None
                return lost(piece.number, self._batch.retries, str(error), type(error).__name__)
            if outcome is not None:
                return outcome
        return Failed(piece.number, Reason.LOST, "", "its result was lost with a node, repeatedly")

    def _followed(self, piece: Piece[A], argument: ray.ObjectRef[A]) -> Finished[R] | Failed | None:
        """Return what became of it; None where it told less when it was begun again.

        Answers are counted: one that was begun again, and told less the second time, ends before
        the reader sees its result, which is then asked for anew.

        Raises:
            GivenUp: the batch was given up.
            RayError: the cluster lost it.
        """
        with self._lock:
            if self._stopped:
                raise GivenUp
            answers = self._task.remote(
                self._batch.name, self._common, piece.number, piece.place, argument
            )
            self._running.add(answers)
        try:
            for reference in answers:
                match ray.get(reference):
                    case Told(_, text):
                        piece.tell(text)
                    case Finished() | Failed() as outcome:
                        return outcome
        except TaskCancelledError:
            raise GivenUp from None
        finally:
            with self._lock:
                self._running.discard(answers)
        return None

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for answers in self._running:
                ray.cancel(answers, force=True)

    def end(self) -> None:
        del self._common


def _outside(piece: int, error: RayTaskError) -> Failed:
    """Return the failure of a piece that went wrong before or after its function ran."""
    cause = error.cause
    if isinstance(cause, ImportError):
        return failed(piece, Reason.RAISED, cause)
    return unsendable(piece, "result", cause)


def _stream(
    name: str, common: object, piece: int, place: int, argument: object
) -> Iterator[Told | Finished[object] | Failed]:
    """Compute one piece on a worker of the cluster; yield what it tells and what became of it."""
    told: SimpleQueue[Told | Finished[object] | Failed] = SimpleQueue()
    site = Place(place, lambda text: told.put(Told(piece, text)))

    def compute() -> None:
        try:
            told.put(call(resolved(name), common, piece, argument, site))
        except BaseException as error:  # noqa: BLE001 - the reader would wait for ever
            told.put(Failed(piece, Reason.RAISED, type(error).__name__, str(error)))

    threading.Thread(target=compute, daemon=True).start()
    while True:
        answer = told.get()
        yield answer
        if not isinstance(answer, Told):
            return
