"""What an agent computes with: a learner and the device's data.

Settings name a bundle and where the data are (`dreamshare_edge.bundled`), or a factory. They are
the device's *own* (`[learner] factory = "package.module:name"`): code never travels, and nothing
that the aggregator sends can name one. A factory is called once:

    def digits(settings: Mapping[str, str | int | float | bool]) -> Equipment:
        return Equipment(TorchLearner(net, ...), ArrayData(x, y, held_out), label="VGG-like")
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.learning.captioned import CaptionedData, TextCaptioner, load_captions
from dreamshare.learning.measures import measure
from dreamshare.learning.public import SharingData, load_public
from dreamshare.payloads.slots import Caption
from dreamshare.settings import Scalar
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.data_config import DataConfig

CAPTIONING = "dreamshare.learning.torch.captioning"
"""Imported where settings name a captioner."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """A learner with its data.

    Attributes:
        learner: what computes.
        data: the device's own examples; accuracy is measured on its held-out ones.
        label: what the operator may see beside the device's id, e.g. the architecture.
    """

    learner: Learner
    data: Data
    label: str = ""

    def accuracy(self) -> float | None:
        """Return the part of the held-out examples that is classified rightly; None without any."""
        measured = measure(self.learner, self.data.held_out())
        return measured.accuracy if measured.count else None


Factory = Callable[[Mapping[str, Scalar]], Equipment]


def equipment_of(config: AgentConfig) -> Equipment:
    """Return what the settings name: a bundle with data, or what the factory makes.

    Public sets and captions that the table [data] names are held beside the data.

    Raises:
        ConfigError: neither is named, or what is named cannot be used.
    """
    made = _captioned(_equipment(config), config.data)
    sets = [load_public(path) for path in config.data.public]
    domain = config.data.domain if config.data.domain >= 0 else None
    if not sets and domain is None:
        return made
    return replace(made, data=SharingData(made.data, sets, domain))


def _captioned(made: Equipment, config: DataConfig) -> Equipment:
    source: Sequence[Caption] | TextCaptioner
    if config.captions is not None:
        source = load_captions(config.captions)
    elif config.captioner:
        source = _captioner(config)
    else:
        return made
    draw = SystemEntropy().draw
    return replace(made, data=CaptionedData(made.data, source, draw, config.private_names))


def _captioner(config: DataConfig) -> TextCaptioner:
    try:
        library = importlib.import_module(CAPTIONING)
    except ImportError as error:
        raise ConfigError(
            f"a captioner needs pip install 'dreamshare[diffusers]' ({error})"
        ) from None
    low, high = config.captioner_range
    settings = library.CaptionerSettings(low=low, high=high, offline=config.captioner_offline)
    opened: TextCaptioner = library.open_captioner(
        config.captioner, config.captioner_digest, settings
    )
    return opened


def _equipment(config: AgentConfig) -> Equipment:
    if config.learner.bundle is None:
        return load_equipment(config.learner.factory, config.learner.settings)
    try:
        from dreamshare_edge.bundled import bundled_equipment
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a bundle needs {error.name}, which is not installed: pip install 'dreamshare[onnx]'"
        ) from None
    return bundled_equipment(config.learner, config.data, config.threads, config.seed)


def load_equipment(name: str, settings: Mapping[str, Scalar]) -> Equipment:
    """Call 'package.module:function' or 'file.py:function' with `settings`; return what it made.

    Raises:
        ConfigError: the name leads nowhere, or what it names does not make an Equipment.
    """
    if not name:
        raise ConfigError(
            "nothing computes: name a bundle and its data, or a factory, in the table [learner]"
        )
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise ConfigError(
            f"learner factory {name!r} must read 'package.module:function' or 'file.py:function'"
        )
    try:
        module = _module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"learner factory {name!r}: there is no module {error.name!r}; is it installed?"
        ) from None
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ConfigError(f"learner factory {name!r}: {module_name} has no function {attribute!r}")
    made = factory(settings)
    if not isinstance(made, Equipment):
        raise ConfigError(
            f"learner factory {name!r} returned {type(made).__name__}; "
            "it must return a dreamshare_edge.Equipment"
        )
    return made


def _module(name: str) -> ModuleType:
    """Import a module by name, or a file by path."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"learner factory: there is no file {name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
