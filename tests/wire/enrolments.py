"""Messages of an enrolment whose bytes are kept in `golden-enrol/`; released ones stay."""

from __future__ import annotations

from dreamshare.wire.enrol import (
    Answer,
    Ask,
    Decision,
    Down,
    Knock,
    Parcel,
    Refusal,
    RefusalReason,
    Up,
    Waiting,
    Welcome,
)

UPS: dict[str, Up] = {"knock": Knock(), "ask": Ask(b"a request")}
DOWNS: dict[str, Down] = {
    "welcome": Welcome(b"-----BEGIN CERTIFICATE-----", ("grpcs://a.example:7443", "grpcs://:1")),
    "waiting": Waiting(5),
    "answer": Answer(b"a reply"),
    "refusal": Refusal(RefusalReason.BUSY, "later"),
}
PARCEL = Parcel(
    b"F" * 16,
    (b"one", b"two"),
    (Decision(b"h" * 32, b"a reply"), Decision(b"i" * 32, b"", "the token was used already")),
    b"a list",
)
