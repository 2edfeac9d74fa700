"""The synthetic set of `generative/1`: from public sums to pictures.

Shape legend: M pictures, C channels, H height, W width, F frequencies, K classes, A words.

Rules:
- a pure function of config, public sums and weights of a known digest: whoever resumes a run, or
  was told the sums, makes the same set (beyond the rounding of floating-point sums);
- classes are even, whoever has them: the set depends on the union of the devices' data alone;
- torch and diffusers are imported where a config asks for them, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import Doubles, GenerativeState
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.generators import captions
from dreamshare.learning.generators.base import Generator, Request, checked, seed_of
from dreamshare.learning.generators.flow import LatentFlowGenerator, load_flow
from dreamshare.learning.generators.gaussian import GaussianGenerator, Moments, load_moments
from dreamshare.payloads.pixels import packed, unpacked
from dreamshare.payloads.slots import Caption

WORD_STREAM = 1
"""Keeps the draws of words apart from those of the picture, which has the same seed."""

DIFFUSION = "dreamshare.learning.torch.diffusion"


def wanted(config: GenerativeConfig, state: GenerativeState) -> np.ndarray:
    """Return which classes are made, (K,) of bool: without a message all of them."""
    c = config
    if c.message == "none":
        return np.ones(c.classes, bool)
    found: np.ndarray = (state.totals_K >= c.least_examples) & (state.holders_K >= c.least_holders)
    return found


def labels_of(config: GenerativeConfig, wanted_K: np.ndarray) -> Ints:
    """Return the classes of the set, in turn: as many of each as there can be."""
    present = np.flatnonzero(wanted_K).astype(np.int64)
    if not len(present):
        return present
    labels_M: Ints = present[np.arange(config.images) % len(present)]
    return labels_M


def made(config: GenerativeConfig, state: GenerativeState) -> tuple[Floats, Ints]:
    """Return the set and its classes.

    Raises:
        ConfigError: the weights are missing, others, or of another kind of picture.
    """
    c = config
    labels_M = labels_of(c, wanted(c, state))
    if c.message == "sums":
        x_MCHW = made_of_sums(c, labels_M, state.described_K, state.sums_KCFF, state.squares_KCFF)
    else:
        generator = opened(c)
        x_MCHW = generator.generate(_requests(c, labels_M, state.words_KA, state.said))
    if x_MCHW.shape != (len(labels_M), *c.shape):
        raise ConfigError(f"the generator makes pictures of shape {x_MCHW.shape[1:]}")
    x_MCHW = np.clip(x_MCHW, c.low, c.high)
    if c.image_bits == 8:  # the student sees what devices see
        x_MCHW = unpacked(packed(x_MCHW, c.low, c.high), c.low, c.high)
    return x_MCHW, labels_M


def made_of_sums(
    config: GenerativeConfig, labels_M: Ints, counts_K: Doubles, sums: Doubles, squares: Doubles
) -> Floats:
    """Return the set that a Gaussian of public sums makes; a device can, too."""
    c = config
    moments = Moments.of_sums(counts_K, sums, squares)
    no_words_K0 = np.zeros((c.classes, 0))
    generator = GaussianGenerator(moments, c.shape, c.low, c.high)
    return generator.generate(_requests(c, labels_M, no_words_K0))


def check_weights(config: GenerativeConfig) -> None:
    """Return when weights that lie here are those of the config; raises ConfigError.

    The id of a repository on the hub is looked up when the set is made.
    """
    c = config
    if c.weights and (c.generator != "diffusers" or Path(c.weights).exists()):
        checked(c.weights, c.digest)


def opened(config: GenerativeConfig) -> Generator:
    """Return the generator whose weights the config names.

    Raises:
        ConfigError: see `made`; or the libraries of a pipeline are not installed.
    """
    c = config
    match c.generator:
        case "gaussian":
            path = checked(c.weights, c.digest)
            return GaussianGenerator(load_moments(path), c.shape, c.low, c.high, c.digest)
        case "flow":
            return LatentFlowGenerator(load_flow(checked(c.weights, c.digest)), c.digest)
        case "diffusers":
            try:
                library = import_module(DIFFUSION)
            except ImportError as error:
                raise ConfigError(
                    f"generator 'diffusers' needs pip install dreamshare[diffusers] ({error})"
                ) from None
            settings = library.DiffusionSettings(
                low=c.low,
                high=c.high,
                negative=c.negative,
                guidance=c.guidance,
                steps=c.sampling_steps,
                size=c.painted,
                offline=c.offline,
            )
            pipeline: Generator = library.open_pipeline(c.weights, c.digest, c.shape, settings)
            return pipeline


def _requests(
    config: GenerativeConfig, labels_M: Ints, words_KA: Doubles, said: Sequence[Caption] = ()
) -> tuple[Request, ...]:
    c = config
    said_of: dict[int, list[str]] = {}
    for caption in said:
        said_of.setdefault(caption.label, []).append(caption.text)
    groups = captions.captioner_of(c.captions, c.low, c.high).groups
    words = captions.vocabulary(groups)
    made_K = np.zeros(c.classes, np.int64)
    requests = []
    for label in labels_M.tolist():
        seed = seed_of(c.seed, label, int(made_K[label]))
        made_K[label] += 1
        rng = np.random.default_rng([seed, WORD_STREAM])
        places = captions.drawn(groups, words_KA[label], rng)
        name = c.name_of(label)
        if texts := said_of.get(label):
            name = f"{name}, {texts[int(rng.integers(len(texts)))]}"
        text = captions.sentence(c.template, name, [words[place] for place in places])
        requests.append(Request(label, seed, places, text))
    return tuple(requests)
