"""Statuses and orders as JSON text in a row, and back.

Rules: what is written here is read here; a row that does not fit is a damaged database and says so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import (
    Cohort,
    Deadlines,
    Stratum,
    Submit,
    TaskPhase,
    TaskStatus,
)
from dreamshare_crypto.suite import Suite


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as the database holds it."""

    order: Submit
    status: TaskStatus


def status_text(status: TaskStatus) -> str:
    """Return a TaskStatus as JSON."""
    faulty = [device.hex() for device in status.faulty]
    row = {**dataclasses.asdict(status), "task": status.task.hex(), "faulty": faulty}
    return json.dumps(row)


def read_status(text: str) -> TaskStatus:
    """Inverse of `status_text`; raises ConfigError."""
    try:
        raw = json.loads(text)
        raw["task"] = TaskId(bytes.fromhex(raw["task"]))
        raw["phase"] = TaskPhase(raw["phase"])
        raw["faulty"] = tuple(PartyId(bytes.fromhex(device)) for device in raw.get("faulty", ()))
        return TaskStatus(**raw)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the database holds a status that cannot be read: {error}") from None


def order_text(order: Submit) -> str:
    """Return a Submit as JSON; its config is JSON text inside."""
    words = {"config": order.config.decode(), "key": order.key.hex()}
    return json.dumps({**dataclasses.asdict(order), **words})


def read_order(text: str) -> Submit:
    """Inverse of `order_text`; raises ConfigError."""
    try:
        raw = json.loads(text)
        raw["config"] = raw["config"].encode()
        cohort = raw["cohort"]
        raw["key"] = bytes.fromhex(raw.get("key", ""))
        strata = tuple(Stratum(**each) for each in cohort.get("strata", ()))
        suite = Suite(cohort.get("suite", Suite.AES))
        raw["cohort"] = Cohort(**{**cohort, "suite": suite, "strata": strata})
        raw["deadlines"] = Deadlines(**raw["deadlines"])
        privacy = raw.get("privacy")
        raw["privacy"] = None if privacy is None else Privacy(**privacy)
        return Submit(**raw)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the database holds a task that cannot be read: {error}") from None


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Return named scalars as JSON."""
    return json.dumps(dict(metrics))


def read_metrics(text: str) -> Mapping[str, float]:
    """Inverse of `metrics_text`."""
    return {str(name): float(value) for name, value in json.loads(text).items()}
