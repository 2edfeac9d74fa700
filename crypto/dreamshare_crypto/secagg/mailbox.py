"""One stage's answers at the aggregator: who was asked, who answered first with what, who is gone.

Rules:
- the first answer of a device counts; the same statement again changes nothing (10.2);
- a second, different statement comes back as evidence: both were signed by the device;
- nobody is waited for who has answered or is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import KeepEvidence
from dreamshare_crypto.secagg.signed import Signed

M = TypeVar("M", bound=Signed)


class Mailbox(Generic[M]):
    """Answers of one stage by device id, in order of arrival."""

    __slots__ = ("_answers", "_asked", "_code", "_gone")

    def __init__(self, code: RefusalCode, asked: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Ask `asked`, of whom `gone` are not waited for; `code` names a device's contradiction."""
        self._code = code
        self._asked = frozenset(asked)
        self._gone = set(gone)
        self._answers: dict[bytes, M] = {}

    def __contains__(self, device: bytes) -> bool:
        return device in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def answers(self) -> dict[bytes, M]:
        """First answers by device, in order of arrival."""
        return dict(self._answers)

    def answer_of(self, device: bytes) -> M:
        """Return the answer of a device that has answered."""
        return self._answers[device]

    @property
    def asked(self) -> frozenset[bytes]:
        """Who may answer."""
        return self._asked

    @property
    def awaited(self) -> frozenset[bytes]:
        """Who was asked, has not answered and is not gone."""
        return self._asked - self._answers.keys() - self._gone

    @property
    def hopeful(self) -> int:
        """How many answers there can be in the end, the present ones included."""
        return len(self._answers) + len(self.awaited)

    def put(self, device: bytes, message: M) -> KeepEvidence | None:
        """Keep a device's first answer, or return what a second, different one proves.

        The message's signature was checked by the caller.
        """
        first = self._answers.setdefault(device, message)
        if first is message or first.statement() == message.statement():
            return None
        return KeepEvidence(self._code, first.encode(), message.encode(), device)

    def forget(self, device: bytes) -> None:
        """Take back a device's answer, as if none had come: what it was about is lost."""
        self._answers.pop(device, None)

    def leave(self, device: bytes) -> None:
        """Stop waiting for a device."""
        self._gone.add(device)

    def come_back(self, device: bytes) -> None:
        """Wait for a device again."""
        self._gone.discard(device)
