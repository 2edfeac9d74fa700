"""What a run of `selftuning/1` is told: all that FedAvg is, and what is learnt of it, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamshare.algorithms.checks import choice, positive, whole
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.errors import ConfigError

Tuned = Literal["nothing", "step", "weights", "both"]
Slopes = Literal["scalars", "lagged"]

WEIGHTS = ("power", "doubt")
"""The numbers that make a weight of a device's examples and of its loss."""


@dataclass(frozen=True, slots=True)
class SelfTuningConfig(FedAvgConfig):
    """A run of `selftuning/1`; `of_model` fills in shapes and layout.

    Of `FedAvgConfig`, `server_rate` is where the step starts, and `weighting` where the weights do:
    at n / mean n ("examples") or at 1 ("uniform").

    Attributes:
        tune: what is learnt: the server's step, the clients' weights, "both", or "nothing".
        slopes: where hypergradients come from: "scalars", each device's derivative of its held-out
            loss along a public direction, exact; or "lagged", the next round's mean difference in
            place of the gradient, which costs nothing and is biased.
        step_pace: largest change of the step's logarithm in a round, > 0.
        weight_pace: largest change of an exponent of the weights in a round, > 0.
        most_rate: the step stays between 1 / this and this, > 1.
        most_weight: a device's weight stays between 1 / this and this, > 1.
        judged: most held-out examples of a device that its slopes are taken of, 1 to 65,536.
        takes_back: whether a step that raised the held-out loss is shortened afterwards (with
            "scalars" only: who is lagged does not know the loss).
    """

    tune: Tuned = "both"
    slopes: Slopes = "scalars"
    step_pace: float = 1.5
    weight_pace: float = 0.2
    most_rate: float = 100.0
    most_weight: float = 8.0
    judged: int = 256
    takes_back: bool = True

    def __post_init__(self) -> None:
        FedAvgConfig.__post_init__(self)  # `super()` is another class with slots
        choice(self, "tune", Tuned)
        choice(self, "slopes", Slopes)
        positive(self, "step_pace", "weight_pace")
        for name in ("most_rate", "most_weight"):
            if not 1.0 < getattr(self, name) <= 1e6:
                raise ConfigError(f"{name} is {getattr(self, name)}; choose more than 1, up to 1e6")
        if not 1 / self.most_rate <= self.server_rate <= self.most_rate:
            raise ConfigError(
                f"server_rate is {self.server_rate}; choose 1 / most_rate to most_rate"
            )
        whole(self, "judged", 1, 65_536)

    @property
    def learnt(self) -> tuple[str, ...]:
        """Names of the numbers that are learnt."""
        return (("step",) if self.tune in ("step", "both") else ()) + self.spread

    @property
    def spread(self) -> tuple[str, ...]:
        """Those among them that make a weight."""
        return WEIGHTS if self.tune in ("weights", "both") else ()
