"""Whether a journal may be an old copy of itself (docs/protocol.md 9.7, J1).

Rules:
- a device counts its records; the count is kept once more outside the journal, in the *anchor*,
  which a restored or cloned disk does not bring along;
- order: the record is durable, then the anchor is rewritten, then the message leaves. So a journal
  ahead of its anchor was killed between the two and is whole; one behind it was replaced by an
  older copy, and what left the device meanwhile is unknown;
- `check_numbers` is the whole decision and reads nothing itself: where anchors are kept is the
  business of whoever keeps the journal.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.refusals import EpochRefused


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a device finds when it starts.

    Attributes:
        journal: how many records its journals hold or held, over all tasks, >= 0.
        anchor: how many the anchor says, >= 0; None where there is none.
        resume_without_anchor: the owner takes the risk of a missing anchor. It costs the promise
            of 1.3 on a device that was restored from a copy or cloned: a round answered after the
            copy was made may be answered once more, for another crowd. A journal *behind* its
            anchor is not waived.
    """

    journal: int
    anchor: int | None
    resume_without_anchor: bool = False


def check_numbers(numbers: Numbers) -> None:
    """Return when the sessions in the journal may go on.

    Raises:
        EpochRefused: J1, the anchor is missing or the journal is behind it.
    """
    if numbers.anchor is None:
        if not numbers.resume_without_anchor:
            raise EpochRefused(
                RefusalCode.J1,
                "the rollback anchor is missing: the device was rebooted, restored or cloned; "
                "it waits for the next epoch",
            )
    elif numbers.journal < numbers.anchor:
        raise EpochRefused(
            RefusalCode.J1,
            f"the journal ends at record {numbers.journal} and the rollback anchor says "
            f"{numbers.anchor}: an older copy was restored; the device waits for the next epoch",
        )
