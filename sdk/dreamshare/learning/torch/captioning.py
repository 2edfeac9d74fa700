"""`LearnedCaptioner`: an image-to-text model of the `transformers` library (BLIP, BLIP-2).

    captioner = open_captioner("blip2", digest, CaptionerSettings(low=0.0, high=1.0))
    captioner.captions(x_NCHW)                     # one text for each picture

Shape legend: N pictures, C channels, H height, W width.

Rules:
- weights are the user's: a folder, or the id of a repository on the hub that is fetched or already
  cached; the digest of the folder is checked before anything of it is loaded;
- safetensors alone: nothing is unpickled, no code of a repository is run;
- words are taken greedily, so a text is its picture's, whatever the batch;
- texts are what the model says: they may name what it saw. Where they go is another matter
  (`dreamshare.learning.captioned`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.torch.weights import folder_of

_UNUSABLE = (
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    RuntimeError,
    ImportError,
    SafetensorError,
)
"""What the library raises for a folder of something else."""


@dataclass(frozen=True, slots=True)
class CaptionerSettings:
    """How pictures are read.

    Attributes:
        low, high: range of a picture's values.
        words: most tokens of a text, 1 to 200.
        batch: pictures read at a time, >= 1.
        device: "cpu", "cuda" or "cuda:N"; "" for CUDA where there is one.
        offline: never ask the hub.
    """

    low: float = 0.0
    high: float = 1.0
    words: int = 20
    batch: int = 8
    device: str = ""
    offline: bool = True

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"low {self.low} must lie below high {self.high}")
        if not (1 <= self.words <= 200 and self.batch >= 1):
            raise ConfigError("words must be 1 to 200 and batch 1 or more")

    @property
    def place(self) -> str:
        """Where pictures are read."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


class LearnedCaptioner:
    """See the module's docstring; `open_captioner` makes one.

    Args:
        model: writes texts; it is moved to the settings' device.
        processor: makes its inputs, and text of what it writes.
        settings: see there.
    """

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, settings: CaptionerSettings
    ) -> None:
        self._type = torch.float16 if settings.place.startswith("cuda") else torch.float32
        self._model = model.to(device=settings.place, dtype=self._type).eval()
        self._processor = processor
        self._settings = settings

    def captions(self, x_NCHW: Floats) -> Sequence[str]:
        """Return one text for each picture; it may be empty.

        Raises:
            ConfigError: these are no pictures of 1 or 3 channels, or the model writes no texts of
                pictures alone.
        """
        if x_NCHW.ndim != 4 or x_NCHW.shape[1] not in (1, 3):
            raise ConfigError(f"a captioner reads pictures of 1 or 3 channels, not {x_NCHW.shape}")
        texts: list[str] = []
        for start in range(0, len(x_NCHW), self._settings.batch):
            texts += self._read(x_NCHW[start : start + self._settings.batch])
        return tuple(texts)

    def _read(self, x_NCHW: Floats) -> list[str]:
        s = self._settings
        pictures = [self._picture(each) for each in x_NCHW]
        try:
            inputs = self._processor(images=pictures, return_tensors="pt")
            with torch.no_grad():
                written = self._model.generate(
                    pixel_values=inputs["pixel_values"].to(s.place, self._type),
                    max_new_tokens=s.words,
                    do_sample=False,
                    num_beams=1,
                )
            texts = self._processor.batch_decode(written, skip_special_tokens=True)
        except _UNUSABLE as error:
            raise ConfigError(f"the captioner cannot read these pictures ({error})") from None
        return [str(text) for text in texts]

    def _picture(self, x_CHW: Floats) -> Image.Image:
        s = self._settings
        share = np.clip((x_CHW.astype(np.float64) - s.low) / (s.high - s.low), 0.0, 1.0)
        bytes_CHW = np.rint(np.broadcast_to(share * 255.0, (3, *share.shape[1:]))).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(bytes_CHW.transpose(1, 2, 0)))


def open_captioner(weights: str, digest: str, settings: CaptionerSettings) -> LearnedCaptioner:
    """Return the captioner of a folder, or of a repository of the hub.

    Raises:
        ConfigError: there are no such weights, they are others, or they are no such model.
    """
    folder = str(folder_of(weights, digest, offline=settings.offline))
    try:
        processor = AutoProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except _UNUSABLE as error:
        raise ConfigError(
            f"the weights at {weights} are no image-to-text model ({error})"
        ) from None
    if missing := sorted(found["missing_keys"]):  # the library would make them up
        raise ConfigError(
            f"the weights at {weights} lack {len(missing)} tensors, e.g. {missing[0]}"
        )
    return LearnedCaptioner(model, processor, settings)
