"""Weights of a generator that a recipe does not name: trained on the recipe's public set.

    [algorithm.config]
    message = "none"           # or "counts"; with generator = "flow" or "gaussian"

Rules:
- the public examples belong to no device (`[data] public`), so the generator holds nothing private;
- a file is named by everything that it depends on but the code, and written whole or not at all:
  processes beside each other may write the same one;
- a pipeline's weights are the user's: recipes name them, by a path or an id on the hub. Where a
  recipe leaves their digest out it is that of what lies there now: name it before publishing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from dreamshare.algorithms.trees import Tree
from dreamshare.errors import ConfigError
from dreamshare.learning.generators import FlowSettings, Moments, digest_of
from dreamshare.learning.generators.captions import captioner_of, vocabulary
from dreamshare.learning.public import PublicSet
from dreamshare_cli.bench.data.idx import cache_folder

HUB = "dreamshare.learning.torch.weights"

LATENT, WIDTH, STEPS, BATCH = 32, 256, 600, 128
"""Of a flow: seconds of one core."""

DEFAULTS: Mapping[str, Tree] = {
    "message": "sums",
    "generator": "gaussian",
    "captions": "class",
    "frequencies": 8,
}


def weights_of(
    table: Mapping[str, Tree], public: PublicSet | None, classes: int, low: float, high: float
) -> dict[str, Tree]:
    """Return what a config that needs weights leaves out: `weights` and `digest`, or `digest`.

    Raises:
        ConfigError: they are needed, and the recipe has no public set to learn from; or those that
            it names are not there.
    """
    said = {**DEFAULTS, **table}
    if "weights" in table and "digest" not in table:
        return {"digest": digest_of(_located(said))}
    if "weights" in table or said["message"] == "sums" or said["generator"] == "diffusers":
        return {}
    if public is None:
        raise ConfigError("a generator needs weights: name them, or set data.public in the recipe")
    about = [said[name] for name in DEFAULTS if name != "message"]
    text = f"{public.digest} {about} {classes} {low} {high} {(LATENT, WIDTH, STEPS, BATCH)}"
    path = (
        cache_folder().parent
        / "generators"
        / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    )
    if not path.is_file():
        _write(path, said, public, FlowSettings(classes, low=low, high=high))
    return {"weights": str(path), "digest": digest_of(path)}


def file_of(public: PublicSet) -> Path:
    """Return a file of a public set, named by its digest; it is written where it is missing."""
    path = cache_folder().parent / "sets" / f"{public.digest}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        public.save(part)
        part.replace(path)
    return path


def _located(said: Mapping[str, Tree]) -> Path:
    """Return where named weights lie; those of a pipeline may be an id of the hub."""
    weights = Path(str(said["weights"]))
    if said["generator"] != "diffusers" or weights.exists():
        return weights
    try:
        library = import_module(HUB)
    except ImportError as error:
        raise ConfigError(
            f"generator 'diffusers' needs pip install dreamshare[diffusers] ({error})"
        ) from None
    found: Path = library.located(str(said["weights"]), offline=bool(said.get("offline", True)))
    return found


def _write(path: Path, said: Mapping[str, Tree], public: PublicSet, settings: FlowSettings) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    if said["generator"] == "gaussian":
        frequencies = said["frequencies"]
        if not isinstance(frequencies, int):
            raise ConfigError(f"frequencies is {frequencies!r}; it must be a whole number")
        Moments.of_public(public, settings.classes, frequencies).save(part)
    else:
        _train(part, said["captions"] == "attributes", public, settings)
    part.replace(path)


def _train(part: Path, attributes: bool, public: PublicSet, base: FlowSettings) -> None:
    from dreamshare.learning.torch.flows import train_flow

    captioner = captioner_of("attributes" if attributes else "class", base.low, base.high)
    words = len(vocabulary(captioner.groups))
    settings = FlowSettings(
        base.classes,
        words=words,
        latent=min(LATENT, public.x_NCHW[0].size, len(public)),
        width=WIDTH,
        training_steps=STEPS,
        batch=BATCH,
        low=base.low,
        high=base.high,
    )
    train_flow(public, settings, captioner.words(public.x_NCHW) if words else None).save(part)
