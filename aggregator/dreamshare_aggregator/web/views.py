"""What the page is told, as JSON: tasks, devices, rounds, curves.

Rules:
- only what operators may know anyway (docs/protocol.md 5.1); ids are hexadecimal, times Unix
  seconds, and every text is a text to the page, whatever stands in it;
- numbers that JSON does not have (infinities) are left out;
- a round of more than `MOST_CELLS` devices is told in counts alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dreamshare.protocol.messages import DeviceStatus, Submit, TaskReport, TaskStatus
from dreamshare_aggregator.telemetry.rounds import LiveRound, RoundStage, StageSpan
from dreamshare_aggregator.web.ledger import Ledger, PastRound, Point

Json = Mapping[str, object]

MOST_CELLS = 256
MOST_DEVICES = 500
"""Devices that the page lists; the totals count all of them."""


def dumps(value: object) -> str:
    """Return JSON text without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def task_view(status: TaskStatus, order: Submit, drawable: bool) -> Json:
    """Return a task."""
    privacy = order.privacy
    return {
        "id": status.task.hex(),
        "name": status.name,
        "algorithm": status.algorithm,
        "phase": status.phase.value,
        "detail": status.detail,
        "cycle": status.cycle,
        "cycles": _outer(order.config),
        "sums": status.aggregations,
        "abandoned": status.abandoned,
        "roster": status.roster,
        "alive": status.alive,
        "dropped": status.dropped,
        "faulty": [device.hex() for device in status.faulty],
        "submitted": status.submitted,
        "masked": status.secure_aggregation,
        "least": order.cohort.least,
        "most": order.cohort.most,
        "budget": None if privacy is None else _finite(privacy.epsilon) or None,
        "noisy": privacy is not None,
        "drawable": drawable,
    }


def device_view(device: DeviceStatus) -> Json:
    """Return a device."""
    return {
        "id": device.device.hex(),
        "label": device.label,
        "here": device.connected,
        "algorithms": list(device.algorithms),
        "up": device.bytes_up,
        "down": device.bytes_down,
    }


def totals_view(devices: tuple[DeviceStatus, ...]) -> Json:
    """Return what all devices add up to."""
    return {
        "here": sum(device.connected for device in devices),
        "known": len(devices),
        "up": sum(device.bytes_up for device in devices),
        "down": sum(device.bytes_down for device in devices),
    }


def round_view(live: LiveRound) -> Json:
    """Return a round that is under way, or just ended."""
    cells = len(live.members) <= MOST_CELLS
    return {
        "task": live.task.hex(),
        "key": live.key,
        "number": live.number,
        "step": live.step,
        "cycle": live.cycle,
        "stage": live.stage.value,
        "began": live.began,
        "since": live.since,
        "ended": live.ended,
        "asked": len(live.members),
        "sent": len(live.sent),
        "agreed": len(live.agreed),
        "opened": len(live.opened),
        "survivors": len(live.survivors),
        "reason": live.reason,
        "members": [device.hex() for device in live.members] if cells else [],
        "states": _states(live) if cells else "",
        "spans": _spans(live.spans),
    }


def past_view(past: PastRound) -> Json:
    """Return a round that is over."""
    return {
        "number": past.number,
        "closed": past.closed,
        "step": past.step,
        "cycle": past.cycle,
        "survivors": past.survivors,
        "roster": past.roster,
        "reason": past.reason,
        "spans": _spans(past.spans),
    }


def report_view(report: TaskReport) -> Json:
    """Return a line of a task's log."""
    return {"number": report.number, "event": report.event, "detail": report.status.detail}


def point_view(point: Point) -> Json:
    """Return a point of the curves."""
    return asdict(point)


def ledger_view(ledger: Ledger) -> Json:
    """Return everything that is known of a task's past."""
    return {
        "last": ledger.last,
        "rounds": [past_view(past) for past in ledger.rounds],
        "points": [point_view(point) for point in ledger.points],
        "reasons": dict(ledger.reasons),
        "lines": [report_view(report) for report in ledger.lines],
        "metrics": ledger.metrics,
    }


def _states(live: LiveRound) -> str:
    """Return a digit per member: 0 asked, 1 sent, 2 agreed, 3 opened, 4 in the sum, 5 not in it."""
    survivors = frozenset(live.survivors)
    done = live.stage is RoundStage.DONE
    digits = []
    for device in live.members:
        if done:
            digits.append("4" if device in survivors else "5")
        elif device in live.opened:
            digits.append("3")
        elif device in live.agreed:
            digits.append("2")
        else:
            digits.append("1" if device in live.sent else "0")
    return "".join(digits)


def _spans(spans: Sequence[StageSpan]) -> Json:
    """Return seconds by stage."""
    return {span.stage.value: round(span.seconds, 4) for span in spans}


def _outer(config: bytes) -> int | None:
    """Return how many cycles, or rounds, a config asks for, where it says so."""
    try:
        tree = json.loads(config)
    except ValueError:
        return None
    if not isinstance(tree, dict):
        return None
    found = tree.get("cycles", tree.get("rounds"))
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
