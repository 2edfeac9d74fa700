"""From a recipe's `[data]` to a pool of examples.

Rules:
- a source whose files are missing says how to get them; nothing is downloaded but by a recipe that
  names addresses and checksums;
- a source of your own is `package.module:function`: it takes (validation, test), the numbers of
  examples to set aside, and returns a `Pool`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints
from dreamshare.learning.scenes import Scenes
from dreamshare_cli.bench.data.colours import coloured, padded
from dreamshare_cli.bench.data.idx import PARTS, cache_folder, fetched, read_folder
from dreamshare_cli.bench.data.pool import Pool, divided, halved, scaled
from dreamshare_cli.bench.data.tabular import CLASSES as TABLE_CLASSES
from dreamshare_cli.bench.data.tabular import make_parity, make_table, tissue
from dreamshare_cli.bench.data.waves import CLASSES, make_waves
from dreamshare_cli.bench.naming import imported
from dreamshare_cli.bench.recipe import DataPlan
from dreamshare_cli.demo import digits

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its four files."""

LOW, HIGH = -1.0, 1.0
SCENES = {"digit-scenes": "digits", "fashion-scenes": "fashion-mnist"}
"""Sources that compose scenes, and of what."""

SCENE_ITEMS = 2
WAVES = 20_000
WAVES_SEED = 640
ROWS = 20_000
TABLE_SEED = 641

COLOURS = {"fashion-colours": 28, "fashion-colours-32": 32}
"""Sources in colours, and their pixels on a side."""

MOST_COLOURED = 12_000
"""Training pictures that are coloured: three channels of floats take room."""

COLOURS_SEED = 642


def load_pool(plan: DataPlan) -> Pool:
    """Return the examples.

    Raises:
        ConfigError: they cannot be had, are damaged, or are too few.
    """
    pool = _loaded(plan)
    pool = _halved(pool) if plan.halve else pool
    if plan.source in COLOURS:
        return _in_colours(pool, COLOURS[plan.source])
    return replace(pool, scenes=scenes_of(pool)) if plan.source in SCENES else pool


def scenes_of(pool: Pool) -> Scenes:
    """Return scenes of two items each, on one and a half times their height and width.

    Rounded down to a multiple of four, which nets can halve twice.
    """
    _, height, width = pool.shape
    size = (height + height // 2) // 4 * 4, (width + width // 2) // 4 * 4
    return Scenes(SCENE_ITEMS, size, pool.low, pool.high)


def _loaded(plan: DataPlan) -> Pool:
    plain = "fashion-mnist" if plan.source in COLOURS else plan.source
    match SCENES.get(plan.source, plain):
        case "digits":
            return _digits(plan)
        case "fashion-mnist":
            if not DEBIAN.is_dir():
                raise ConfigError(
                    "Fashion-MNIST is not here; on Debian: apt-get install dataset-fashion-mnist; "
                    "elsewhere set data.source to 'idx' or 'download'"
                )
            return _idx(plan, DEBIAN)
        case "idx":
            return _idx(plan, Path(plan.folder))
        case "download":
            return _idx(plan, fetched(plan.files, cache_folder()))
        case "waves":
            return _whole(plan, CLASSES, *make_waves(WAVES, WAVES_SEED))
        case "breast-cancer":
            return _whole(plan, 2, *tissue())
        case "parity":
            return _whole(plan, 2, *make_parity(ROWS, TABLE_SEED))
        case "table":
            return _whole(plan, TABLE_CLASSES, *make_table(ROWS, TABLE_SEED))
    made = imported(plan.source, "data.source")(plan.validation, plan.test)
    if not isinstance(made, Pool):
        raise ConfigError(f"data.source {plan.source} returned a {type(made).__name__}, no Pool")
    return made


def _digits(plan: DataPlan) -> Pool:
    """Return the demo's division: what was chosen for the demo has seen none of its test images."""
    if plan.validation > digits.VALIDATION_IMAGES or plan.test > digits.TEST_IMAGES:
        raise ConfigError(
            f"the digits have {digits.VALIDATION_IMAGES} validation and {digits.TEST_IMAGES} test "
            f"images; the recipe wants {plan.validation} and {plan.test}"
        )
    held = digits.load()
    validation, test = held.validation.first(plan.validation), held.test.first(plan.test)
    return Pool(held.train, validation, test, digits.CLASSES, digits.LOW, digits.HIGH)


def _idx(plan: DataPlan, folder: Path) -> Pool:
    """Return the file's own test images as test, and a part of its training images to choose by."""
    found = read_folder(folder)
    train_x, train_y, test_x, test_y = (found[name] for name in PARTS)
    if plan.test > len(test_y):
        raise ConfigError(f"data.test is {plan.test}; {folder} holds {len(test_y)} test images")
    train, validation, _ = divided(scaled(train_x), train_y.astype(np.int64), (plan.validation, 0))
    test = Batch(scaled(test_x[: plan.test]), test_y[: plan.test].astype(np.int64))
    return Pool(train, validation, test, max(2, int(train_y.max()) + 1), LOW, HIGH)


def _whole(plan: DataPlan, classes: int, x_NCHW: Floats, y_N: Ints) -> Pool:
    return Pool(*divided(x_NCHW, y_N, (plan.validation, plan.test)), classes, LOW, HIGH)


def _in_colours(pool: Pool, side: int) -> Pool:
    if pool.shape[1] > side:
        raise ConfigError(f"pictures of {pool.shape[1]} pixels do not fit into {side}")
    parts = [part.first(MOST_COLOURED) for _, part in pool.parts()]
    train, validation, test = (
        Batch(coloured(padded(part.x_NCHW, side), COLOURS_SEED + place), part.y_N)
        for place, part in enumerate(parts)
    )
    return Pool(train, validation, test, pool.classes, LOW, HIGH)


def _halved(pool: Pool) -> Pool:
    if pool.pixels:
        raise ConfigError("data.halve is for labels of images, not of pixels")
    train, validation, test = (Batch(halved(part.x_NCHW), part.y_N) for _, part in pool.parts())
    return Pool(train, validation, test, pool.classes, pool.low, pool.high)
