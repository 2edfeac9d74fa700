"""A learner of ten parameters and a federation on loopback: shells tested with real sockets.

`Toy` is softmax regression on points of the plane, three classes, plain gradient descent in numpy:
quick, deterministic, and enough for `fedavg/1` and `evaluate/1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.settings import Scalar
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.several import SeveralLinks
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import PublicArray
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge import (
    DeviceConditions,
    EdgeAgent,
    Equipment,
    FileStore,
    ManualConditions,
    Policy,
    Surroundings,
)

CLASSES = 3
CENTRES = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]], np.float32)
ALGORITHMS = ("fedavg/1", "evaluate/1")


class Toy:
    """Softmax regression: 2 inputs, 3 classes."""

    classes = CLASSES

    def __init__(self) -> None:
        self.weight = np.zeros((2, CLASSES), np.float32)
        self.bias = np.zeros(CLASSES, np.float32)
        self._memory: dict[str, PublicArray] = {}

    def logits(self, x_NCHW: Floats) -> Floats:
        return x_NCHW.reshape(len(x_NCHW), 2) @ self.weight + self.bias

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        raise ConfigError("the toy gives no input gradients")

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        for (batch,) in steps:
            assert batch.y_N is not None
            x_ND = batch.x_NCHW.reshape(len(batch.y_N), 2)
            error_NK = softmax(self.logits(batch.x_NCHW)).astype(np.float32)
            error_NK[np.arange(len(batch.y_N)), batch.y_N] -= 1.0
            rate = np.float32(objective.learning_rate / len(batch.y_N))
            self.weight = self.weight - rate * (x_ND.T @ error_NK)
            self.bias = self.bias - rate * error_NK.sum(axis=0)
        return 0.0

    def snapshot(self) -> bytes:
        return encode_arrays({"weight": self.weight, "bias": self.bias})

    def restore(self, snapshot: bytes) -> None:
        self.load_parameters({n: a.astype(np.float32) for n, a in decode_arrays(snapshot).items()})

    def memory(self) -> Mapping[str, PublicArray]:
        return self._memory

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        self._memory = dict(memory)

    def parameters(self) -> Mapping[str, Floats]:
        return {"weight": self.weight.copy(), "bias": self.bias.copy()}

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        self.weight = np.array(parameters["weight"], np.float32)
        self.bias = np.array(parameters["bias"], np.float32)


def toy_data(number: int, examples: int = 60) -> ArrayData:
    """Return points around the three centres, mostly of the class `number` mod 3."""
    rng = np.random.default_rng(number)

    def draw(n: int, skew: float) -> tuple[Floats, np.ndarray]:
        share = np.full(CLASSES, (1 - skew) / (CLASSES - 1))
        share[number % CLASSES] = skew
        y_N = rng.choice(CLASSES, n, p=share)
        x_ND = CENTRES[y_N] + rng.normal(0, 0.5, (n, 2))
        return x_ND.astype(np.float32).reshape(n, 2, 1, 1), y_N

    x, y = draw(examples, 0.9)
    x_held, y_held = draw(40, 1 / 3)
    return ArrayData(x, y, Batch(x_held, y_held))


def make_equipment(settings: Mapping[str, Scalar]) -> Equipment:
    """Return the toy of one device; the factory of agents that run as processes."""
    number = settings.get("device", 0)
    assert isinstance(number, int)
    return Equipment(Toy(), toy_data(number), label=f"toy {number}")


def toy_config(rounds: int = 2) -> FedAvgConfig:
    """Return a run that ends with a masked evaluation."""
    config = FedAvgConfig.of_model(Toy().parameters(), CLASSES)
    values = {name: getattr(config, name) for name in config.__dataclass_fields__}
    values |= {"rounds": rounds, "fit_steps": 5, "batch": 16, "learning_rate": 0.3}
    return FedAvgConfig(**{**values, "evaluate": True, "weighting": "uniform"})


@dataclass(frozen=True)
class Loopback:
    """A development federation in a folder."""

    folder: FederationFolder

    @classmethod
    def create(cls, path: Path) -> Loopback:
        folder = FederationFolder(path / "federation")
        folder.create("grpcs://127.0.0.1:7443", SystemEntropy(), SystemClock().now())
        return cls(folder)

    def listener(self, port: int = 0) -> GrpcListener:
        return GrpcListener(f"127.0.0.1:{port}", TlsFiles.of(self.aggregator))

    @property
    def aggregator(self) -> Identity:
        return Identity.load(self.folder.aggregator)

    @property
    def operator(self) -> Identity:
        return Identity.load(self.folder.operator)

    def enrol(self, role: Role, name: str) -> Identity:
        path = self.folder.folder / f"{name}.key"
        return self.folder.issue(role, name, path, SystemClock(), SystemEntropy())

    def agent(
        self,
        number: int,
        port: int,
        policy: Policy | None = None,
        others: tuple[int, ...] = (),
        label: str = "",
        conditions: DeviceConditions | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> EdgeAgent:
        """Return a device's agent; its store is kept under its name.

        `others` are ports that it tries, too.
        """
        path = self.folder.folder / f"device-{number}.key"
        device = (
            Identity.load(path) if path.exists() else self.enrol(Role.DEVICE, f"device-{number}")
        )
        home = self.folder.folder / f"home-{number}"
        return EdgeAgent(
            link=SeveralLinks(
                [GrpcLink(f"grpcs://127.0.0.1:{p}", TlsFiles.of(device)) for p in (port, *others)]
            ),
            learner=Toy(),
            data=toy_data(number),
            algorithms=ALGORITHMS,
            store=FileStore(home),
            policy=policy or Policy(),
            identity=device,
            surroundings=Surroundings(
                label=label or f"toy {number}",
                attributes=attributes or {},
                report=home / "report.jsonl",
                conditions=conditions or ManualConditions(),
            ),
        )
