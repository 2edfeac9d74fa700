"""Journal effects, carried out: in order, and from a thread where a disk may be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dreamshare.protocol.events import Forget, Keep, Persist
from dreamshare.protocol.journal import Journal

Stored = Persist | Keep | Forget
"""Effects on a journal."""


async def store(journal: Journal, effects: Sequence[Stored]) -> None:
    """Carry out a run of journal effects; durable on return, as far as they ask for it."""
    if not effects:
        return
    if journal.blocks:
        await asyncio.to_thread(_store_all, journal, effects)
    else:
        _store_all(journal, effects)


def _store_all(journal: Journal, effects: Sequence[Stored]) -> None:
    for effect in effects:
        match effect:
            case Persist(record, sync):
                journal.append(record, sync)
            case Keep(slot, secret):
                journal.keep(slot, secret)
            case Forget(slot):
                journal.forget(slot)
