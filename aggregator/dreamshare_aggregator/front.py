"""What the driver asks of the aggregator's shell: answers for operators, news of devices.

Rules:
- the driver calls on the event loop; whatever takes long is an operator's answer, which is awaited;
- nothing here decides: it hands on, and logs what people want to find later.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from dreamshare.ids import PartyId, TaskId, short
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.messages import Reply, Request
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.control import Control
from dreamshare_aggregator.evidence import keep_evidence

_LOG = logging.getLogger(__name__)


class Front:
    """See `dreamshare.driver.front.FrontDesk`."""

    def __init__(
        self,
        control: Control,
        board: Board,
        traffic: Callable[[], None],
        evidence: Path | None = None,
    ) -> None:
        self._control = control
        self._board = board
        self._traffic = traffic
        self._evidence = evidence

    def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        return self._control.answer(request)

    def device_came(self, device: PartyId) -> None:
        _LOG.info("device %s checked in", short(device))
        self._traffic()

    def device_went(self, device: PartyId) -> None:
        _LOG.info("device %s departed", short(device))
        self._traffic()

    def knows(self, task: TaskId) -> bool:
        return any(entry.status.task == task for entry in self._board.unfinished())

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        kept = None
        try:
            if self._evidence is not None:
                kept = keep_evidence(self._evidence, task, evidence)
        except OSError as error:
            _LOG.error("evidence cannot be kept: %s", error)
        _LOG.warning(
            "device %s signed two contradicting messages in task %s (%s); kept in %s",
            short(evidence.device),
            short(task),
            evidence.code,
            kept or "no file",
        )
