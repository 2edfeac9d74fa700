"""What a learner offers: small capabilities, so that torch and ONNX agents sit in one cohort.

Shape legend: N batch, C channels, H height, W width, K classes; x_NCHW is float32 in the model's
normalised input space, y_N int64 class indices, logits_NK float32.

A model that labels pixels gives a row of logits for every pixel: rows of the first image from its
upper left corner, line by line, then those of the next. Wherever logits or what is made of them
have N or B rows, these are pixels then; labels keep their image's shape, y_N (N, H, W) and
targets_NK (N, H, W, K), so that an example is one entry of every array.

Rules:
- an algorithm asks for the capabilities that it needs and for nothing else;
- objectives are data (`dreamshare.learning.objectives`), never functions: code never travels;
- giving gradients or posteriors leaves parameters and buffers bit-identical.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.updates import PublicArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples; `targets_NK` are soft labels where given, else `y_N` hard ones.

    Attributes:
        x_NCHW: inputs.
        y_N: class indices, or None when only soft labels exist (dreams).
        targets_NK: soft labels (the last axis sums to 1), or None.
    """

    x_NCHW: Floats
    y_N: Ints | None = None
    targets_NK: Floats | None = None

    def first(self, count: int) -> Batch:
        """Return the first `count` examples, or all when there are fewer."""
        return Batch(
            self.x_NCHW[:count],
            None if self.y_N is None else self.y_N[:count],
            None if self.targets_NK is None else self.targets_NK[:count],
        )


@dataclass(frozen=True, slots=True)
class InputGradient:
    """d objective / d x and what it is made of.

    Attributes:
        gradient_NCHW: of `DreamObjective`'s sum over the batch.
        logits_NK: at x, before any step.
        terms: unweighted values by name ("task": mean per dream, "features": R_bn,
            "adversarial": mean disagreement per dream).
        student_cotangent_BK: gradient of the same sum with respect to `student_BK`; None without
            an adversarial term. Sums of it over teachers are all that a student needs.
    """

    gradient_NCHW: Floats
    logits_NK: Floats
    terms: Mapping[str, float]
    student_cotangent_BK: Floats | None = None


@dataclass(frozen=True, slots=True)
class ParameterGradient:
    """Mean cross-entropy of examples in evaluation mode, and its gradient.

    Attributes:
        loss: nats an example; 0 without examples.
        arrays: d loss / d parameter, of every trainable one, by name.
    """

    loss: float
    arrays: Mapping[str, Floats]


class Data(Protocol):
    """A device's own examples. They never leave the device."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        """Yield shuffled batches of `size` for ever (the last of a pass may be smaller)."""
        ...

    def class_counts(self, classes: int) -> Ints:
        """Return the number of examples, or of pixels, of each class, shape (classes,)."""
        ...

    def held_out(self) -> Batch:
        """Return the examples that are never trained on (x of shape (0, C, H, W) when none)."""
        ...


@runtime_checkable
class GivesPosteriors(Protocol):
    """Can classify."""

    classes: int

    def logits(self, x_NCHW: Floats) -> Floats:
        """Return logits_NK in evaluation mode; a row an example, or a row a pixel."""
        ...


@runtime_checkable
class GivesInputGradients(Protocol):
    """Can differentiate an objective with respect to its inputs."""

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        """Return d objective / d x in evaluation mode."""
        ...


@runtime_checkable
class GivesParameterGradients(Protocol):
    """Can differentiate its loss with respect to its parameters, without a step."""

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        """Return loss and gradient on labelled examples, in evaluation mode.

        Raises:
            ConfigError: the batch has no y_N, or does not fit the net.
        """
        ...


@runtime_checkable
class GivesFeatureStatistics(Protocol):
    """Can say what its own data look like inside a net that keeps no running statistics."""

    def feature_statistics(self, x_NCHW: Floats) -> Mapping[str, Floats]:
        """Return mean and variance of each channel at the input of each LayerNorm and GroupNorm.

        Names are "<number of the layer>.mean" and ".var"; what `DreamObjective.statistics` takes.
        Empty where the net has BatchNorm layers, which keep their own, or none of these.
        """
        ...


class KeepsArrays(Protocol):
    """A device's memory of public arrays (`dreamshare.learning.tape`)."""

    def keep(self, token: bytes, arrays: Mapping[str, PublicArray], seconds: float) -> None:
        """Keep arrays for so many seconds, or as long as there is room."""
        ...

    def find(self, token: bytes) -> Mapping[str, PublicArray]:
        """Return what was kept; raises ConfigError where it is gone."""
        ...


@runtime_checkable
class KeepsSnapshots(Protocol):
    """Data that change while a device lives, and can give what they were.

    A federated derivative belongs to the examples of its value: see `learning.snapshots`.
    """

    def snapshot(self, token: str, *, begin: bool) -> Data:
        """Return the examples as they were when this token was first named.

        Args:
            token: names the moment.
            begin: it may be named for the first time now.

        Raises:
            ConfigError: the examples of that moment are not there any more.
        """
        ...


@runtime_checkable
class Fits(Protocol):
    """Can train its own model."""

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        """Take one optimiser step per item; each item holds the batches of one step.

        The first batch of a step is local data (hard labels), a second one is distilled from
        (soft labels, `objective.distillation_weight`). Optimiser state lasts from call to call.
        Returns the mean loss over the steps, 0.0 without any.

        Raises:
            ConfigError: a step without batches or with more than two, a batch without its labels.
        """
        ...

    def snapshot(self) -> bytes:
        """Return parameters, buffers, optimiser state and memory as bytes (no pickle)."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Load what `snapshot` returned; raises ConfigError where it does not fit."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """Keeps public arrays between the steps of an algorithm, such as dreams to replay.

    They are part of `snapshot`: a step that is redone after a crash starts from the same memory.
    """

    def memory(self) -> Mapping[str, PublicArray]:
        """Return what `remember` was last given; empty at first."""
        ...

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        """Replace the memory. Names hold lower-case letters, digits, '_' and '.'."""
        ...


@runtime_checkable
class TrainsParameters(Protocol):
    """Shares its parameters with equal models (FedAvg and its kin)."""

    def parameters(self) -> Mapping[str, Floats]:
        """Return a copy of every trainable parameter and floating-point buffer, by name."""
        ...

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Replace them; raises ConfigError on unknown names or shapes."""
        ...


class Learner(GivesPosteriors, GivesInputGradients, Fits, Remembers, TrainsParameters, Protocol):
    """Everything at once; what `TorchLearner` offers."""
