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

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Answers of one stage by device id, in order of arrival."""

    __slots__ = ("_answers", "_asked", "_code", "_gone", "_signed")

    def __init__(self, code: RefusalCode, asked: Iterable[bytes], gone: Iterable[bytes]) -> None:
        """Ask `asked`, of whom `gone` are not waited for; `code` names a device's contradiction."""
        self._code = code
        self._asked = frozenset(asked)
        self._gone = set(gone)
        self._signed: dict[bytes, tuple[bytes, bytes]] = {}
        self._answers: dict[bytes, T] = {}

    def __contains__(self, device: bytes) -> bool:
        return device in self._answers

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def answers(self) -> dict[bytes, T]:
        """First answers by device, in order of arrival."""
        return dict(self._answers)

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

    def contradiction(self, device: bytes, message: Signed) -> KeepEvidence | None:
        """Return the evidence that `message` makes together with the device's first answer."""
        if device not in self._signed:
            return None
        statement, signature = self._signed[device]
        if statement == message.statement():
            return None
        second = message.statement() + message.signature
        return KeepEvidence(self._code, statement + signature, second, device)

    def put(self, device: bytes, message: Signed, answer: T) -> None:
        """Keep a device's first answer: of the message its signed statement, and `answer`."""
        self._signed[device] = (message.statement(), message.signature)
        self._answers[device] = answer

    def leave(self, device: bytes) -> None:
        """Stop waiting for a device."""
        self._gone.add(device)

    def come_back(self, device: bytes) -> None:
        """Wait for a device again."""
        self._gone.discard(device)
