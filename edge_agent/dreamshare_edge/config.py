"""The agent's settings file (TOML). `dreamshare agent config` prints it with every field explained.

Rules:
- relative paths are taken from the folder of the settings file;
- the learner is named here, on the device, and nowhere else.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.settings import Scalar, load_settings, setting, settings_text
from dreamshare_edge.data_config import DataConfig
from dreamshare_edge.policy import Policy

_KEY = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """What computes: a function of the owner's, or a bundle and no code at all."""

    factory: str = setting(
        "Function that makes learner and data: 'package.module:function'. It gets the table "
        "[learner.settings] and returns a dreamshare_edge.Equipment. Empty: there is a bundle.",
        default="",
    )
    settings: Mapping[str, Scalar] = setting(
        "Passed to the factory as it stands: strings, numbers, true or false.", default={}
    )
    bundle: Path | None = setting(
        "A model that `dreamshare export` wrote; it computes by onnxruntime (extra 'onnx'), on "
        "what the table [data] names. No code of yours is needed.",
        default=None,
        example="net.dream",
    )
    memory_mb: int | None = setting(
        "With a bundle: most memory in MB of a step's intermediate values, 1 or more. Classifying "
        "takes smaller batches then; dreams or training that need more are refused. Absent: no "
        "bound.",
        default=None,
        example=256,
    )
    providers: tuple[str, ...] = setting(
        "With a bundle: onnxruntime's execution providers in order of preference, such as "
        "'CUDAExecutionProvider'. The CPU comes last by itself. Empty: the CPU.",
        default=(),
    )

    def __post_init__(self) -> None:
        if self.factory and self.bundle is not None:
            raise ConfigError("learner: give a bundle or a factory, not both")
        if self.bundle is not None and self.settings:
            raise ConfigError("learner: settings go to a factory; a bundle takes none")
        if self.factory and (self.memory_mb is not None or self.providers):
            raise ConfigError("learner: memory_mb and providers go with a bundle")
        if self.memory_mb is not None and self.memory_mb < 1:
            raise ConfigError(f"learner: memory_mb is {self.memory_mb}; it must be 1 or more")

    def beside(self, folder: Path) -> LearnerConfig:
        """Return the same settings with the bundle taken from `folder`."""
        bundle = None if self.bundle is None else folder / self.bundle
        return dataclasses.replace(self, bundle=bundle)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything that `dreamshare agent run` needs to know."""

    link: str | tuple[str, ...] = setting(
        "Where the aggregator listens: grpcs://host:port (mutual TLS), or a broker that it listens "
        "at: mqtts://host:port, wss://host:port/path. A list is tried in turn: the addresses of an "
        "aggregator and of those that stand by for it.",
        default="grpcs://127.0.0.1:7443",
    )
    identity: Path = setting(
        "The device's identity, as `dreamshare enrol device` wrote it.", default=Path("device.key")
    )
    enrol: tuple[str, ...] = setting(
        "Where the certificate is renewed, at two thirds of its life: grpcs://host:port. Empty: by "
        "hand, with `dreamshare enrol renew`.",
        default=(),
    )
    store: Path = setting(
        "Folder for the journal and the learner's weights; one agent each.", default=Path("state")
    )
    anchor_folder: Path | None = setting(
        "Folder for the rollback anchor (docs/protocol.md 9.7): storage that survives this process "
        "but neither a reboot nor a restored backup, e.g. a tmpfs. A container that should go on "
        "after a restart needs one mounted from its host. Absent: /run/user/<uid>, else /dev/shm.",
        default=None,
        example="/run/dreamshare",
    )
    algorithms: tuple[str, ...] = setting(
        "What this device is willing to compute.",
        default=("codream/1", "evaluate/1"),
    )
    label: str = setting(
        "What the operator sees beside the device's id. Empty: the bundle's name, or what the "
        "factory says.",
        default="",
    )
    attributes: Mapping[str, Scalar] = setting(
        "What the owner makes public so that cohorts can be chosen by it, e.g. region = 'eu'. The "
        "operator sees it beside the device's id. Up to 64.",
        default={},
    )
    report: Path | None = setting(
        "The device's own report, JSON lines: rounds, bytes, accuracy before and after each "
        "exchange. It stays on the device. Absent: none is written.",
        default=None,
        example="report.jsonl",
    )
    conditions: str = setting(
        "Where power, network and use of the device are read: 'linux' (sysfs; NetworkManager and "
        "systemd-logind over D-Bus with the extra 'linux'), 'none' (it cannot tell), or 'auto': "
        "linux where this is Linux.",
        default="auto",
    )
    threads: int = setting(
        "Compute threads, of the numeric libraries and of masking; 1 or more.", default=1
    )
    seed: int = setting(
        "Seeds the device's own sampling, 0 or more; masks never depend on it.", default=0
    )
    fleet_policy: Path | None = setting(
        "Where the signed policy of whoever owns the fleet arrives; read when the agent starts. It "
        "may tighten the table [policy], never loosen it; the newest version stays in force.",
        default=None,
        example="fleet.policy",
    )
    policy_key: str = setting(
        "Public key (64 hex digits) whose fleet policies are taken besides those of the "
        "federation's authority. Empty: the authority's alone.",
        default="",
    )
    learner: LearnerConfig = setting("What computes.", default=LearnerConfig())
    data: DataConfig = setting(
        "With a bundle: the device's own examples, one of images, csv and arrays.",
        default=DataConfig(),
    )
    policy: Policy = setting(
        "The device's own floor: what it refuses, whatever is signed.", default=Policy()
    )

    def __post_init__(self) -> None:
        if not self.algorithms:
            raise ConfigError("algorithms is empty; name at least one, e.g. 'codream/1'")
        if not self.links:
            raise ConfigError("link is empty; name at least one, e.g. 'grpcs://host:7443'")
        if len(self.attributes) > 64 or not all(self.attributes):
            raise ConfigError("attributes: give up to 64, each with a name")
        if not _KEY.fullmatch(self.policy_key):
            raise ConfigError("policy_key must be 64 hex digits, or empty")
        if self.conditions not in ("auto", "linux", "none"):
            raise ConfigError(f"conditions is {self.conditions!r}; use 'auto', 'linux' or 'none'")
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; it must be 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be 0 or more")
        if self.data.source is not None and self.learner.factory:
            raise ConfigError("[data] goes with a bundle; a factory makes its data by itself")

    def policy_keys(self, authority: bytes) -> tuple[bytes, ...]:
        """Return the public keys whose fleet policies count."""
        own = bytes.fromhex(self.policy_key)
        return (authority, own) if own else (authority,)

    @property
    def links(self) -> tuple[str, ...]:
        """Every address, in the order in which they are tried."""
        return (self.link,) if isinstance(self.link, str) else self.link

    def computing(self, algorithms: tuple[str, ...]) -> AgentConfig:
        """Return the same settings, willing to compute these algorithms; none: as they are."""
        return dataclasses.replace(self, algorithms=algorithms or self.algorithms)

    def beside(self, folder: Path) -> AgentConfig:
        """Return the same settings with relative paths taken from `folder`."""
        report = None if self.report is None else folder / self.report
        anchors = None if self.anchor_folder is None else folder / self.anchor_folder
        return dataclasses.replace(
            self,
            identity=folder / self.identity,
            store=folder / self.store,
            anchor_folder=anchors,
            report=report,
            fleet_policy=None if self.fleet_policy is None else folder / self.fleet_policy,
            learner=self.learner.beside(folder),
            data=self.data.beside(folder),
        )


def load_config(path: Path) -> AgentConfig:
    """Read an agent's settings file; raises ConfigError, which names file and key."""
    return load_settings(AgentConfig, path).beside(path.parent)


def agent_toml(link: str, label: str = "") -> str:
    """Return a commented settings file for a device that was just enrolled."""
    return settings_text(AgentConfig(link=link, label=label))
