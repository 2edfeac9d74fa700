"""What a FedIOD run may be asked for; every field with its unit and range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dreamshare.algorithms.checks import choice, inputs, not_negative, positive, whole
from dreamshare.algorithms.fediod.terms import Distillation, Divergence
from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import Optimizer

Evaluation = Literal["never", "end", "cycle"]


@dataclass(frozen=True, slots=True)
class FedIODConfig:
    """A run of `fediod/1`.

    Attributes:
        shape: (C, H, W) of one image, each >= 1: what every device's model takes.
        classes: K, 2 to 10,000.
        pixels: the models label pixels: K classes of each, the background one of them.
        low: smallest value of an image, in the models' normalised space.
        high: largest value, > low.
        seed: public seed of nets and latents, 0 to 2^32 - 1.

        cycles: outer loop: generator's steps, fresh labels, student's steps; >= 1.
        generator_steps: two-leg steps of the generator in a cycle, >= 1.
        labels: batches of fresh images in a cycle that the ensemble labels, >= 0. The generator's
            own batches are labelled anyway.
        batch: B, images of a step, >= 2.
        latent: values of a latent, 1 to 4,096.
        generator_width: channels of the generator's last hidden layer, 1 to 1,024.
        generator_optimizer: "adam" (betas 0.5, 0.999) or "sgd", plain descent.
        generator_rate: > 0.
        image_bits: 8 sends images as bytes over [low, high], 32 as float32.

        real_weight: of being taken for real by the devices' discriminators, >= 0; 0 leaves
            discriminators out. A mean over patches, where the reference sums them.
        adversarial_weight: of the distance between ensemble and student, which the generator is to
            enlarge, >= 0.
        confidence_weight: of the entropy of each device's prediction, >= 0.
        balance_weight: of the negative entropy (bits) of each device's mean prediction, >= 0.
        divergence: how devices' predictions differ: "none", or a preset. "code" adds
            `divergence_weight` times mean KL(m || p_k), as the reference's code does: agreement.
            "uniqueness" subtracts that many times the Jensen-Shannon divergence: disagreement.
        divergence_weight: its weight; a negative one turns the preset's sign. Finite.
        distillation: "limit", squared distance of centred logits, or "kl" at `temperature`.
        temperature: T > 0 of "kl".
        logit_bound: devices' logits are clipped to +- this, > 0.

        judge_width: channels of a discriminator's first layer, 1 to 1,024.
        judge_steps: its steps on each batch of images, >= 1.
        judge_batch: real images of a step, >= 2.
        judge_rate: of its Adam (betas 0.5, 0.999), > 0.

        warm_up_epochs: local epochs of the devices' models, which then stay as they are, >= 0.
        warm_up_rate: their learning rate, > 0.
        local_batch: local examples of a step, >= 2.
        optimizer: "adam" or "sgd".
        weight_decay: >= 0.
        balanced: train them with balanced softmax: the logarithm of the device's own class shares
            is added to the logits of local examples.

        student_width: channels of the student's first layer, 1 to 1,024.
        student_steps: its Adam steps in a cycle, >= 1.
        student_batch: labelled images of a step, >= 2.
        student_rate: > 0.
        replay: labelled images that are kept, newest last, >= batch.

        evaluate: ask for the student's masked accuracy and loss on the devices' held-out examples
            "never", at the "end" or every "cycle".
        max_examples: largest number of examples (of one class, or held out) that a device counts;
            1 to 2^24. Counts travel with a resolution of this / 2^19; with `pixels`, of this times
            the pixels of an image.
        gradient_bound: largest clip of a coordinate of the image gradient, > 0; the bound in use
            follows the public sums.
        first_gradient_bound: clip of the very first one, > 0 and at most gradient_bound.
        gradient_bits: resolution of the image gradient, 8 to 20.
    """

    shape: tuple[int, int, int]
    classes: int
    pixels: bool = False
    low: float = -1.0
    high: float = 1.0
    seed: int = 0

    cycles: int = 5
    generator_steps: int = 10
    labels: int = 2
    batch: int = 64
    latent: int = 64
    generator_width: int = 16
    generator_optimizer: Optimizer = "adam"
    generator_rate: float = 0.01
    image_bits: int = 8

    real_weight: float = 10.0
    adversarial_weight: float = 0.1
    confidence_weight: float = 1.0
    balance_weight: float = 10.0
    divergence: Divergence = "none"
    divergence_weight: float = 1.0
    distillation: Distillation = "limit"
    temperature: float = 1.0
    logit_bound: float = 16.0

    judge_width: int = 8
    judge_steps: int = 2
    judge_batch: int = 64
    judge_rate: float = 0.001

    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    local_batch: int = 64
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0001
    balanced: bool = True

    student_width: int = 16
    student_steps: int = 150
    student_batch: int = 64
    student_rate: float = 0.003
    replay: int = 2000

    evaluate: Evaluation = "never"
    max_examples: int = 65_536
    gradient_bound: float = 256.0
    first_gradient_bound: float = 8.0
    gradient_bits: int = 12

    def __post_init__(self) -> None:
        inputs(self.shape, self.low, self.high)
        for name, least, most in WHOLE:
            whole(self, name, least, most)
        positive(self, *POSITIVE)
        not_negative(
            self,
            "real_weight",
            "adversarial_weight",
            "confidence_weight",
            "balance_weight",
            "weight_decay",
        )
        choice(self, "generator_optimizer", Optimizer)
        choice(self, "optimizer", Optimizer)
        choice(self, "divergence", Divergence)
        choice(self, "distillation", Distillation)
        choice(self, "evaluate", Evaluation)
        if not math.isfinite(self.divergence_weight):
            raise ConfigError(f"divergence_weight is {self.divergence_weight}; it must be finite")
        if self.image_bits not in (8, 32):
            raise ConfigError(f"image_bits is {self.image_bits}; choose 8 or 32")
        if self.replay < self.batch:
            raise ConfigError(f"replay is {self.replay}; keep at least one batch's {self.batch}")
        if self.first_gradient_bound > self.gradient_bound:
            raise ConfigError("first_gradient_bound is above gradient_bound, the largest")

    @property
    def labelled_shape(self) -> tuple[int, ...]:
        """(H, W) where pixels are labelled, else nothing."""
        return self.shape[1:] if self.pixels else ()

    @property
    def places(self) -> int:
        """Labels of an image: its pixels where these are labelled, else 1."""
        return math.prod(self.labelled_shape)

    @property
    def rows(self) -> int:
        """Rows of logits of a step's images."""
        return self.batch * self.places

    @property
    def most(self) -> int:
        """Largest number of labels of one class that a device counts."""
        return self.max_examples * self.places

    @property
    def asks_mean(self) -> bool:
        """Say whether devices need the mean prediction of all."""
        return self.divergence != "none" and self.divergence_weight != 0

    @property
    def asks_logs(self) -> bool:
        """Say whether devices need the mean logarithm of all predictions."""
        return self.asks_mean and self.divergence == "code"

    @property
    def signed_weight(self) -> float:
        """The weight with which the divergence enters the generator's loss."""
        sign = -1.0 if self.divergence == "uniqueness" else 1.0
        return sign * self.divergence_weight


WHOLE = (
    ("classes", 2, 10_000),
    ("seed", 0, 2**32 - 1),
    ("cycles", 1, 10_000),
    ("generator_steps", 1, 10_000),
    ("labels", 0, 10_000),
    ("batch", 2, 65_536),
    ("latent", 1, 4_096),
    ("generator_width", 1, 1_024),
    ("judge_width", 1, 1_024),
    ("judge_steps", 1, 10_000),
    ("judge_batch", 2, 65_536),
    ("warm_up_epochs", 0, 10_000),
    ("local_batch", 2, 65_536),
    ("student_width", 1, 1_024),
    ("student_steps", 1, 1_000_000),
    ("student_batch", 2, 65_536),
    ("replay", 2, 1_000_000),
    ("max_examples", 1, 2**24),
    ("gradient_bits", 8, 20),
)
POSITIVE = (
    "generator_rate",
    "temperature",
    "logit_bound",
    "judge_rate",
    "warm_up_rate",
    "student_rate",
    "gradient_bound",
    "first_gradient_bound",
)
