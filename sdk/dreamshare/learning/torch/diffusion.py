"""`DiffusersGenerator`: a text-to-image pipeline of the `diffusers` library as a generator.

    generator = open_pipeline("stable", digest, (1, 28, 28), DiffusionSettings(low=0.0, high=1.0))

Shape legend: M requests, C channels, H height, W width.

Rules:
- weights are the user's: a folder, or the id of a repository on the hub that is fetched or already
  cached; the digest of the folder is checked before anything of it is loaded;
- safetensors alone: nothing is unpickled; of the hub nothing else is fetched, and a folder with
  code in it is refused, whatever a version of the library would do with it;
- one torch generator for each picture, on the CPU, so that neither batch size nor device chooses
  its noise;
- a model that was trained on the web has seen much; what it has seen of the devices' data its
  owner must know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.generators.base import Provenance, Request
from dreamshare.learning.torch.weights import folder_of


@dataclass(frozen=True, slots=True)
class DiffusionSettings:
    """How pictures are made.

    Attributes:
        low, high: range of a picture's values.
        negative: what pictures are not to be.
        guidance: weight of the text, >= 0; 1 is without guidance. Low values keep variety.
        steps: of the sampler, >= 1.
        size: height and width that the pipeline paints, pixels; 0 for its own.
        batch: pictures painted at a time, >= 1.
        device: "cpu", "cuda" or "cuda:N"; "" for CUDA where there is one.
        offline: never ask the hub.
    """

    low: float = 0.0
    high: float = 1.0
    negative: str = ""
    guidance: float = 2.0
    steps: int = 50
    size: int = 0
    batch: int = 8
    device: str = ""
    offline: bool = True

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"low {self.low} must lie below high {self.high}")
        if not (self.guidance >= 0 and self.steps >= 1 and self.size >= 0 and self.batch >= 1):
            raise ConfigError("guidance and size must be >= 0, steps and batch >= 1")

    @property
    def place(self) -> str:
        """Where pictures are made."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


class DiffusersGenerator:
    """See the module's docstring; `open_pipeline` makes one.

    Args:
        pipeline: a text-to-image pipeline; it is moved to the settings' device.
        shape: (C, H, W) of a picture; C is 1 (the mean of the colours) or 3.
        settings: see there.
        digest: of the weights.
        trained_on: what their owner says.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        shape: tuple[int, int, int],
        settings: DiffusionSettings,
        digest: str = "",
        trained_on: str = "",
    ) -> None:
        if shape[0] not in (1, 3):
            raise ConfigError(f"a pipeline paints 1 or 3 channels, not {shape[0]}")
        self._pipeline = pipeline.to(settings.place)
        self._pipeline.set_progress_bar_config(disable=True)
        self._shape, self._settings = shape, settings
        self._digest, self._trained_on = digest, trained_on

    def generate(self, requests: Sequence[Request]) -> Floats:
        s = self._settings
        x_MCHW = np.zeros((len(requests), *self._shape), np.float32)
        for start in range(0, len(requests), s.batch):
            part = requests[start : start + s.batch]
            x_MCHW[start : start + len(part)] = self._painted(part)
        return x_MCHW

    def info(self) -> Provenance:
        return Provenance("diffusers", self._digest, self._trained_on)

    def _painted(self, requests: Sequence[Request]) -> Floats:
        s = self._settings
        size = s.size or None
        pictures = self._pipeline(
            prompt=[request.text for request in requests],
            negative_prompt=[s.negative] * len(requests),
            guidance_scale=s.guidance,
            num_inference_steps=s.steps,
            height=size,
            width=size,
            generator=[torch.Generator("cpu").manual_seed(each.seed) for each in requests],
            output_type="np",
        ).images
        return np.stack([self._fitted(np.asarray(each)) for each in pictures])

    def _fitted(self, x_HWC: np.ndarray) -> Floats:
        """Return one picture, (C, H, W) in [low, high], from values 0 to 1."""
        channels, height, width = self._shape
        planes = x_HWC.mean(axis=2, keepdims=True) if channels == 1 else x_HWC
        shrunk = [
            np.asarray(
                Image.fromarray(planes[:, :, c].astype(np.float32)).resize(
                    (width, height), Image.Resampling.BOX
                )
            )
            for c in range(channels)
        ]
        s = self._settings
        x_CHW: Floats = np.clip(s.low + (s.high - s.low) * np.stack(shrunk), s.low, s.high).astype(
            np.float32
        )
        return x_CHW


def open_pipeline(
    weights: str,
    digest: str,
    shape: tuple[int, int, int],
    settings: DiffusionSettings,
) -> DiffusersGenerator:
    """Return the generator of a folder, or of a repository of the hub.

    Raises:
        ConfigError: there are no such weights, they are others, or they are no such pipeline.
    """
    folder = folder_of(weights, digest, offline=settings.offline)
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float16 if settings.place.startswith("cuda") else torch.float32,
            safety_checker=None,
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"the weights at {weights} are no text-to-image pipeline ({error})"
        ) from None
    return DiffusersGenerator(pipeline, shape, settings, digest, weights)
