"""What `dreamshare history` does.

Objects with `--json`, one a line:
    {"number": 1, "moment": 1795212345.5, "step": "gradient", "cycle": 1, "outcome": "sum",
     "reason": "", "roster": 8, "survivors": 7, "dropped": 1, "bytes": 48213}
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from dreamshare.client import Client
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.history import PAGE, RoundEntry, RoundOutcome
from dreamshare_cli.operating import Where, with_client
from dreamshare_cli.output import Output


def ask_history(where: Where, task: str, after: int, as_json: bool) -> None:
    """Print what the aggregator answers."""
    output = Output(as_json)

    async def work(client: Client) -> None:
        async for entry in client.history(await client.find(task), after):
            output.show(_fields(entry), _line(entry))

    with_client(where, work)


def read_history(url: str, task: str, after: int, as_json: bool) -> None:
    """Print what a database holds; it may be in use."""
    from dreamshare_aggregator.checkup import reading_store
    from dreamshare_aggregator.database import StoreSettings

    output = Output(as_json)

    async def work() -> None:
        async with reading_store(url, StoreSettings(patience_s=10.0)) as store:
            wanted = _only((stored.status.task for stored in await store.tasks()), task)
            seen = after
            while found := await store.history(wanted, seen, PAGE):
                for entry in found:
                    output.show(_fields(entry), _line(entry))
                seen = found[-1].number

    asyncio.run(work())


def _only(ids: Iterable[TaskId], beginning: str) -> TaskId:
    found = [one for one in ids if one.hex().startswith(beginning.lower())]
    if len(found) != 1:
        many = "no task begins" if not found else f"{len(found)} tasks begin"
        raise ConfigError(f"{many} with {beginning!r}; `dreamshare run list` shows their ids")
    return found[0]


def _fields(entry: RoundEntry) -> dict[str, object]:
    done = entry.done
    return {
        "number": entry.number,
        "moment": entry.moment,
        "step": done.step,
        "cycle": done.cycle,
        "outcome": done.outcome.value,
        "reason": done.reason,
        "roster": done.roster,
        "survivors": done.survivors,
        "dropped": entry.dropped,
        "bytes": done.sent,
    }


def _line(entry: RoundEntry) -> str:
    done = entry.done
    when = datetime.fromtimestamp(entry.moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    what = {
        RoundOutcome.SUM: f"sum of {done.survivors} of {done.roster}",
        RoundOutcome.TOLD: f"told {done.survivors} of {done.roster}",
        RoundOutcome.ABANDONED: f"abandoned: {done.reason}",
    }
    return f"{entry.number:5} {when} {done.step} {done.cycle}: {what[done.outcome]}, {done.sent} B"
