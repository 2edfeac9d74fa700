"""Equipment of an agent without any code of the device's owner: a bundle, and data by settings.

    [learner]
    bundle = "net.dream"

    [data]
    images = "photos"

Rules:
- shape, number of classes and normalisation come from the bundle; data that do not fit it are
  refused at the start, with both shapes in the text, never in a round;
- onnxruntime and what reads the data are imported when they are named.
"""

from __future__ import annotations

from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.data_lazy import LazyData, Normalisation, Source
from dreamshare.learning.onnx import OnnxLearner, Runtime, read_bundle
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare.learning.onnx.runtime import CPU
from dreamshare_edge.config import LearnerConfig
from dreamshare_edge.data_config import DataConfig
from dreamshare_edge.equipment import Equipment


def bundled_equipment(
    learner: LearnerConfig, data: DataConfig, threads: int = 1, seed: int = 0
) -> Equipment:
    """Return the learner of a bundle with the examples that `data` names.

    Args:
        learner: names the bundle.
        data: names the examples.
        threads: compute threads, 1 or more.
        seed: decides which examples are held out.

    Raises:
        ConfigError: the bundle cannot be used, or the examples do not fit it.
    """
    if learner.bundle is None:
        raise ConfigError("learner: no bundle is named")
    runtime = runtime_of(learner, threads)
    bundle = read_bundle(learner.bundle)
    examples = examples_of(data, bundle.manifest, seed)
    return Equipment(OnnxLearner(bundle, runtime=runtime), examples, bundle.manifest.name)


def runtime_of(learner: LearnerConfig, threads: int) -> Runtime:
    """Return how the bundle is run; raises ConfigError for a provider that is not there."""
    return Runtime(threads, providers=learner.providers or (CPU,), memory_mb=learner.memory_mb)


def examples_of(config: DataConfig, manifest: Manifest, seed: int) -> Data:
    """Return the examples that the settings name, checked against the bundle.

    Raises:
        ConfigError: there is no such file, or what it holds does not fit the bundle.
    """
    source = _source(config, manifest)
    labels_N = source.labels()
    if len(labels_N) and labels_N.max() >= manifest.classes:
        raise ConfigError(
            f"{config.source} has an example of class {labels_N.max()}; the bundle "
            f"{manifest.name!r} has {manifest.classes} classes, numbered from 0"
        )
    given = manifest.normalisation
    data = LazyData(source, Normalisation(given.mean, given.deviation), config.held_out, seed)
    if data.shape != manifest.shape:
        raise ConfigError(
            f"{config.source} gives examples of shape {data.shape}; the bundle "
            f"{manifest.name!r} takes {manifest.shape}"
        )
    return data


def _source(config: DataConfig, manifest: Manifest) -> Source:
    classes = config.classes
    if classes and len(classes) != manifest.classes:
        raise ConfigError(
            f"data: classes names {len(classes)}; the bundle {manifest.name!r} has "
            f"{manifest.classes}: name all of them, in the model's order"
        )
    if config.images is not None:
        return _pictures(config.images, classes, manifest)
    if config.csv is not None:
        return _table(config.csv, config, manifest)
    if config.arrays is not None:
        from dreamshare.learning.data_arrays import ArrayFile

        return ArrayFile(config.arrays)
    raise ConfigError("a bundle needs examples: name images, csv or arrays in the table [data]")


def _pictures(folder: Path, classes: tuple[str, ...], manifest: Manifest) -> Source:
    from dreamshare.learning.data_images import ImageFolder

    match manifest.shape:
        case (1 | 3 as channels, height, width):
            source = ImageFolder(folder, (height, width), channels, classes)
        case shape:
            raise ConfigError(
                f"the bundle {manifest.name!r} takes inputs of shape {shape}, which are no "
                "pictures of 1 or 3 channels; name csv or arrays in the table [data]"
            )
    if len(source.classes) != manifest.classes:
        raise ConfigError(
            f"{folder} has {len(source.classes)} folders; the bundle {manifest.name!r} has "
            f"{manifest.classes} classes: name all of them in data.classes, in the model's order"
        )
    return source


def _table(path: Path, config: DataConfig, manifest: Manifest) -> Source:
    from dreamshare.learning.data_tables import CsvRows, CsvWindows, Window

    if config.window:
        window = Window(config.window, config.stride or config.window, config.group)
        return CsvWindows(path, config.columns, config.label, config.classes, window)
    return CsvRows(path, config.columns, config.label, config.classes, manifest.shape)
