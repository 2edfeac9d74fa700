"""The config of `generative/1`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dreamshare.algorithms.checks import choice, digest, inputs, not_negative, positive, whole
from dreamshare.algorithms.students import StudentKind
from dreamshare.errors import ConfigError
from dreamshare.learning.generators.captions import NAME, Captions
from dreamshare.learning.objectives import DistillationNorm, Optimizer
from dreamshare.payloads.slots import LEAST_BYTES, MOST_BYTES

Message = Literal["none", "counts", "sums"]
Source = Literal["gaussian", "flow", "diffusers"]
Told = Literal["set", "sums"]

LONGEST_TEXT = 500

MOST_VALUES = 2**27
"""Of a set: half a GiB, half of what a stored state may hold."""

MOST_TEXT_BYTES = 2**22
"""Of all places together: 8 MiB and more up."""


@dataclass(frozen=True, slots=True)
class GenerativeConfig:
    """A run of `generative/1`.

    Attributes:
        shape: (channels, height, width) of an input.
        classes: K, 2 to 10,000.
        seed: of everything that is public, >= 0.
        low, high: range of an input's values; what lies outside is clipped before it is summed.

        message: what devices say: "none" (the baseline: a generator that nobody told anything),
            "counts" of classes and words, or "sums": counts, then embedding sums.
        captions: "class": the class's name alone; "attributes": words that devices count; "text":
            what devices say of single pictures in their own words. The aggregator reads these: it
            is no sum, and each device's policy must allow it.
        generator: "gaussian", "flow" or "diffusers".
        weights: on the aggregator: a file of moments or of a flow, a folder of a pipeline or its
            id on the hub; empty for a Gaussian of the devices' sums. Devices see the text and open
            nothing.
        digest: of the weights, 64 hex digits; empty without weights.
        images: M, size of the set, 1 to 1,000,000; with all its values at most 2^27.
        frequencies: F of the embedding, 1 to the smaller side ("sums").
        described: most examples that a device describes, 1 to 2^20 ("sums").
        least_examples: classes with fewer in the whole cohort are left out, >= 1.
        least_holders: as are those that fewer devices have, >= 1.
        max_examples: largest number of examples of a device, 1 to 2^24.

        text_captions: most captions of a device, 1 to 1,024 ("text").
        text_least: fewest of its pictures that must have one word for word, >= 1 ("text").
        text_slots: S, places that devices draw from, 8 to 65,536, and at least as many as one
            device's captions; two captions in one place are lost. Eight times as many as all
            captions together lose one in nine.
        text_bytes: B of a place, 16 to 256; 7 fewer for the text in UTF-8. S B is at most 2^22.

        names: of the classes, K of them, or none: "class 0" and so on.
        template: of a caption, with "{name}" in it.
        negative, guidance, sampling_steps, painted, offline: of a pipeline
            (`dreamshare.learning.torch.diffusion`).

        told: devices get the "set", or the "sums" and make it themselves (a Gaussian of sums).
        image_bits: of a value of the set on its way down, 8 or 32.
        warm_up_epochs: local passes before anything is asked, >= 0.
        warm_up_rate: their rate, > 0.
        fit_steps: optimiser steps on local and synthetic examples, >= 0.
        local_batch: local examples of a step, >= 2.
        synthetic_batch: synthetic ones, >= 2.
        optimizer, learning_rate, weight_decay: of the device.
        synthetic_weight: weight of the synthetic examples' loss, >= 0.
        distillation_norm: BatchNorm on synthetic examples, "batch" or "running".
        balanced: balanced softmax with the device's own label histogram.

        student: "small": a classifier in numpy that sees the set alone; "none".
        student_width, student_steps, student_rate: of it.

        evaluate: masked accuracy and loss at the end; message "none" needs it, since a task has at
            least one sum.
    """

    shape: tuple[int, int, int]
    classes: int
    seed: int = 0
    low: float = 0.0
    high: float = 1.0

    message: Message = "sums"
    captions: Captions = "class"
    generator: Source = "gaussian"
    weights: str = ""
    digest: str = ""
    images: int = 1000
    frequencies: int = 8
    described: int = 4096
    least_examples: int = 4
    least_holders: int = 1
    max_examples: int = 65_536

    text_captions: int = 4
    text_least: int = 5
    text_slots: int = 256
    text_bytes: int = 96

    names: tuple[str, ...] = ()
    template: str = "a photo of a {name}"
    negative: str = "low quality, low resolution"
    guidance: float = 2.0
    sampling_steps: int = 50
    painted: int = 0
    offline: bool = True

    told: Told = "set"
    image_bits: int = 8
    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    fit_steps: int = 150
    local_batch: int = 64
    synthetic_batch: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.002
    weight_decay: float = 0.0001
    synthetic_weight: float = 1.0
    distillation_norm: DistillationNorm = "batch"
    balanced: bool = True

    student: StudentKind = "none"
    student_width: int = 16
    student_steps: int = 200
    student_rate: float = 0.002

    evaluate: bool = False

    def __post_init__(self) -> None:
        inputs(self.shape, self.low, self.high)
        for name, least, most in _WHOLE:
            whole(self, name, least, most)
        positive(self, "warm_up_rate", "learning_rate", "student_rate")
        not_negative(self, "weight_decay", "synthetic_weight", "guidance")
        for name, choices in _CHOICES:
            choice(self, name, choices)
        if self.frequencies > min(self.shape[1:]):
            raise ConfigError(f"frequencies is {self.frequencies}; the picture has fewer")
        if self.images * math.prod(self.shape) > MOST_VALUES:
            raise ConfigError(
                f"{self.images} images of shape {self.shape} are over {MOST_VALUES} values"
            )
        if self.image_bits not in (8, 32):
            raise ConfigError(f"image_bits is {self.image_bits}; choose 8 or 32")
        self._check_texts()
        self._check_source()

    @property
    def top(self) -> float:
        """Largest magnitude of an input's value, and so of its embedding's."""
        return max(abs(self.low), abs(self.high))

    def name_of(self, label: int) -> str:
        """Return a class's name."""
        return self.names[label] if self.names else f"class {label}"

    def _check_texts(self) -> None:
        if self.names and len(self.names) != self.classes:
            raise ConfigError(f"{len(self.names)} names for {self.classes} classes")
        texts = (self.template, self.negative, self.weights, *self.names)
        if any(len(text) > LONGEST_TEXT or not text.isprintable() for text in texts):
            raise ConfigError(f"a text is longer than {LONGEST_TEXT} or has control characters")
        if NAME not in self.template:
            raise ConfigError(f"the template {self.template!r} has no {NAME} in it")

    def _check_source(self) -> None:
        if self.message == "sums" and (self.generator != "gaussian" or self.weights):
            raise ConfigError(
                "message 'sums' is for a gaussian without weights: nothing else reads them, and "
                "what is not read is not asked for; use message 'counts'"
            )
        if self.message != "sums" and not self.weights:
            raise ConfigError(f"message {self.message!r} needs a generator's weights and digest")
        if self.message == "none" and not self.evaluate:
            raise ConfigError("message 'none' needs evaluate: a task has one sum at least")
        if self.weights:
            digest(self, "digest")
        elif self.digest:
            raise ConfigError("digest goes with weights")
        readers = {"attributes": ("flow", "diffusers"), "text": ("diffusers",)}
        if self.captions in readers and (
            self.message != "counts" or self.generator not in readers[self.captions]
        ):
            needed = " or ".join(readers[self.captions])
            raise ConfigError(
                f"captions {self.captions!r} go with message 'counts' and generator {needed}: what "
                "nobody reads is not asked for"
            )
        if self.captions == "text" and not (
            self.text_captions <= self.text_slots <= MOST_TEXT_BYTES // self.text_bytes
        ):
            raise ConfigError(
                f"text_slots is {self.text_slots}; it must be text_captions or more, and times "
                f"text_bytes at most {MOST_TEXT_BYTES}"
            )
        if self.told == "sums" and self.message != "sums":
            raise ConfigError("told 'sums' goes with message 'sums': devices have no weights")


_WHOLE = (
    ("classes", 2, 10_000),
    ("seed", 0, 2**63 - 1),
    ("images", 1, 1_000_000),
    ("frequencies", 1, 4096),
    ("described", 1, 2**20),
    ("least_examples", 1, 2**24),
    ("least_holders", 1, 2**16),
    ("max_examples", 1, 2**24),
    ("text_captions", 1, 1024),
    ("text_least", 1, 2**24),
    ("text_slots", 8, 2**16),
    ("text_bytes", LEAST_BYTES, MOST_BYTES),
    ("sampling_steps", 1, 10_000),
    ("painted", 0, 8192),
    ("warm_up_epochs", 0, 10_000),
    ("fit_steps", 0, 1_000_000),
    ("local_batch", 2, 65_536),
    ("synthetic_batch", 2, 65_536),
    ("student_width", 1, 4096),
    ("student_steps", 0, 1_000_000),
)

_CHOICES: tuple[tuple[str, object], ...] = (
    ("message", Message),
    ("captions", Captions),
    ("generator", Source),
    ("told", Told),
    ("optimizer", Optimizer),
    ("distillation_norm", DistillationNorm),
    ("student", StudentKind),
)
