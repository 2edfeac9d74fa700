"""The aggregator's settings file (TOML). `dreamshare up --print-config` prints it, explained.

Rules: relative paths, also the one of an SQLite URL, are taken from the settings file's folder.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.settings import load_settings, setting
from dreamshare_aggregator.placed import PlacedConfig
from dreamshare_aggregator.retention import Retention
from dreamshare_aggregator.web.settings import WebConfig

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class AggregatorConfig:
    """Everything that `dreamshare up` needs to know."""

    listen: tuple[str, ...] = setting(
        "Where to listen: grpcs://host:port (mutual TLS; port 0 takes a free one), or at a broker "
        "that `dreamshare broker config` configured: mqtts://host:port, wss://host:port/path.",
        default=("grpcs://127.0.0.1:7443",),
    )
    identity: Path = setting(
        "The aggregator's identity, as `dreamshare enrol aggregator` wrote it.",
        default=Path("aggregator.key"),
    )
    enrol: tuple[str, ...] = setting(
        "Where devices without a certificate enrol: grpcs://host:port (TLS, no certificate of the "
        "caller's). Empty: nowhere; requests and answers then travel as files.",
        default=(),
    )
    enrolment: Path = setting(
        "Folder of requests that wait, of the authority's answers and of the newest revocation "
        "list; `dreamshare enrol pending`, `export` and `import` work on it.",
        default=Path("enrolment"),
    )
    enrol_queue: int = setting(
        "Most enrolments and renewals that wait for the authority, 1 or more.", default=1000
    )
    enrol_per_address: int = setting(
        "Most of them from one address, 1 or more; devices behind one gateway share its address.",
        default=50,
    )
    enrol_links: tuple[str, ...] = setting(
        "What enrolled devices are told to connect to, e.g. 'grpcs://aggregator.example:7443'. "
        "Empty: the addresses of listen, after those of shards placed on this machine; for those "
        "on every interface, the host that was called.",
        default=(),
    )
    store: str = setting(
        "Database of tasks, reports, checkpoints and results: sqlite:///FILE, or "
        "postgresql://USER@HOST/NAME (docs/operations/database.md). Every commit is on the disk "
        "before anything is answered.",
        default="sqlite:///rounds.db",
        secret=True,
    )
    standby: bool = setting(
        "Where another aggregator uses the same database: wait, and take over when it is gone. "
        "false: refuse to start.",
        default=True,
    )
    lease_s: float = setting(
        "PostgreSQL: seconds after which a standby takes over from an aggregator that is silent, "
        "1 to 3600.",
        default=15.0,
    )
    patience_s: float = setting(
        "Seconds that the database may be away before the service ends, 0 or more; tasks wait for "
        "it meanwhile.",
        default=300.0,
    )
    tasks_at_once: int = setting(
        "How many tasks run at once, 1 or more. The others wait; tasks of one priority take turns "
        "of some rounds each.",
        default=4,
    )
    artefacts: Path | None = setting(
        "Folder of large checkpoints, results and sums. Absent: beside an SQLite file; in the "
        "database where it is PostgreSQL. A second aggregator must see the same folder.",
        default=None,
        example="rounds.db.artefacts",
    )
    shards: str = setting(
        "Where shards of this aggregator come in: grpcs://host:port, for `dreamshare shard` and "
        "for nobody else. Empty: this process does everything; with placed shards on this machine, "
        "a free port of the host that they listen on.",
        default="",
    )
    away_s: float = setting(
        "Seconds, about, that a device which no task needs hangs up for, 0 to 86,400. It saves "
        "connections and batteries; a new task waits as long for its devices. 0: they stay.",
        default=0.0,
    )
    evidence: Path = setting(
        "Folder for contradicting messages that a device signed, for people.",
        default=Path("evidence"),
    )
    capture: Path | None = setting(
        "For debugging: write everything that is received to this new file. Absent: nothing.",
        default=None,
        example="received.capture",
    )
    uvloop: bool = setting(
        "Run on uvloop where it is installed: less processor time with many devices.",
        default=True,
    )

    retention: Retention = setting(
        "How long what finished tasks leave behind is kept, in days.", default=Retention()
    )
    log_format: str = setting("Logs: console for people, json for programs.", default="console")
    log_level: str = setting("Logs: debug, info, warning or error.", default="warning")
    otlp_endpoint: str | None = setting(
        "OpenTelemetry collector that gets spans of tasks, rounds and stages, over HTTP; needs the "
        "extra `otel`. Absent: none.",
        default=None,
        example="http://127.0.0.1:4318/v1/traces",
    )
    placed_shards: PlacedConfig = setting(
        "Shards that the aggregator begins by itself, and that end with it (docs/scaling.md).",
        default=PlacedConfig(),
    )
    web: WebConfig = setting(
        "The live page, /metrics, /healthz and /readyz; served where `listen` says.",
        default=WebConfig(),
    )

    def __post_init__(self) -> None:
        if not self.listen:
            raise ConfigError("listen is empty; name at least one, e.g. 'grpcs://0.0.0.0:7443'")
        if not 0 <= self.away_s <= 86_400:
            raise ConfigError(f"away_s is {self.away_s}; it must be 0 to 86,400 seconds")
        if self.tasks_at_once < 1:
            raise ConfigError(f"tasks_at_once is {self.tasks_at_once}; it must be 1 or more")
        _ = self.trunk

    @property
    def trunk(self) -> str:
        """Where shards come in, those that are placed among them; "" where there are none."""
        return self.placed_shards.trunk(self.shards)

    def beside(self, folder: Path) -> AggregatorConfig:
        """Return the same settings with relative paths taken from `folder`."""
        store = self.store
        if store.startswith(_SQLITE) and not store.startswith("sqlite:////"):
            store = f"{_SQLITE}{(folder / store.removeprefix(_SQLITE)).absolute()}"
        return dataclasses.replace(
            self,
            identity=folder / self.identity,
            enrolment=folder / self.enrolment,
            store=store,
            artefacts=None if self.artefacts is None else folder / self.artefacts,
            evidence=folder / self.evidence,
            capture=None if self.capture is None else folder / self.capture,
            placed_shards=self.placed_shards.beside(folder),
            web=self.web.beside(folder),
        )


def load_config(path: Path) -> AggregatorConfig:
    """Read an aggregator's settings file; raises ConfigError, which names file and key."""
    return load_settings(AggregatorConfig, path).beside(path.parent)
