"""The algorithms that this release knows, imported when they are first named.

Rules:
- a name carries its version and never changes meaning; a new meaning is a new version;
- what travels is the name and the canonical JSON of the config: keys sorted, no spaces, every
  field present; a device decodes it strictly and runs what is registered here, nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from dreamshare.algorithms.base import Algorithm
from dreamshare.algorithms.checkpoint import decode_state
from dreamshare.algorithms.trees import CLASS, Tree, from_tree, to_tree
from dreamshare.errors import ConfigError

MOST_CONFIG_BYTES = 1 << 20
"""A config is small; a longer one is refused before it is parsed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered algorithm.

    Attributes:
        name: with its version.
        module: where its classes live.
        algorithm: class of the algorithm; takes the config.
        config: class of the config.
        state: class of the state.
        asks: steps that a device answers; a policy may allow a part of them.
        tells: steps that a device learns from.
    """

    name: str
    module: str
    algorithm: str
    config: str
    state: str
    asks: tuple[str, ...]
    tells: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Every step that may travel under this name."""
        return self.asks + self.tells


ENTRIES = (
    Entry(
        name="autodiff/1",
        module="dreamshare.algorithms.autodiff",
        algorithm="Autodiff",
        config="AutodiffConfig",
        state="AutodiffState",
        asks=(),  # a program's name is part of each (docs/adr/0029)
    ),
    Entry(
        name="codream/1",
        module="dreamshare.algorithms.codream",
        algorithm="Codream",
        config="CodreamConfig",
        state="CodreamState",
        asks=("count", "dream", "contest", "label", "evaluate"),
        tells=("warm_up", "acquire"),
    ),
    Entry(
        name="consensus/1",
        module="dreamshare.algorithms.consensus",
        algorithm="Consensus",
        config="ConsensusConfig",
        state="ConsensusState",
        asks=("answer", "evaluate"),
        tells=("warm_up", "learn"),
    ),
    Entry(
        name="evaluate/1",
        module="dreamshare.algorithms.evaluate",
        algorithm="Evaluate",
        config="EvaluateConfig",
        state="EvaluateState",
        asks=("evaluate",),
    ),
    Entry(
        name="fedavg/1",
        module="dreamshare.algorithms.fedavg",
        algorithm="FedAvg",
        config="FedAvgConfig",
        state="FedAvgState",
        asks=("start", "train", "evaluate"),
        tells=("adopt",),
    ),
    Entry(
        name="fedh2l/1",
        module="dreamshare.algorithms.fedh2l",
        algorithm="FedH2L",
        config="FedH2LConfig",
        state="FedH2LState",
        asks=("answer", "evaluate"),
        tells=("warm_up", "learn"),
    ),
    Entry(
        name="fediod/1",
        module="dreamshare.algorithms.fediod",
        algorithm="FedIOD",
        config="FedIODConfig",
        state="FedIODState",
        asks=("count", "answer", "pull", "label", "evaluate"),
        tells=("warm_up", "judge"),
    ),
    Entry(
        name="generative/1",
        module="dreamshare.algorithms.generative",
        algorithm="Generative",
        config="GenerativeConfig",
        state="GenerativeState",
        asks=("count", "describe", "disclose", "evaluate"),
        tells=("warm_up", "learn"),
    ),
    Entry(
        name="moments/1",
        module="dreamshare.algorithms.moments",
        algorithm="MomentSharing",
        config="MomentsConfig",
        state="MomentsState",
        asks=("alone", "release", "count", "sketch", "describe", "evaluate"),
        tells=("warm_up", "learn"),
    ),
    Entry(
        name="selftuning/1",
        module="dreamshare.algorithms.selftuning",
        algorithm="SelfTuning",
        config="SelfTuningConfig",
        state="SelfTuningState",
        asks=("start", "train", "evaluate"),
        tells=("adopt",),
    ),
)


def names() -> tuple[str, ...]:
    """Return the names of all registered algorithms."""
    return tuple(entry.name for entry in ENTRIES)


def entry_of(name: str) -> Entry:
    """Return what is registered under `name`.

    Raises:
        ConfigError: nothing is.
    """
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise ConfigError(
        f"algorithm {name!r} is not registered; this release has {', '.join(names())}"
    )


def algorithm_from(name: str, config_json: bytes) -> Algorithm[object]:
    """Return the algorithm that a plan names, with its config decoded strictly.

    Written in one way only, since the bytes are hashed: with other spaces or another order a
    question that was answered could be asked again as a new one (docs/protocol.md 13.3, 17.6).

    Raises:
        ConfigError: unknown name; unknown, missing or wrong fields; values out of range; JSON that
            is not canonical.
    """
    config = _config(entry_of(name), config_json, defaults=False)
    if config_json_of(config) != (name, config_json):
        raise ConfigError(f"config of {name} is not canonical JSON: sorted keys, no spaces")
    return algorithm_of(config)


def algorithm_of(config: object) -> Algorithm[object]:
    """Return the algorithm that runs `config`.

    Raises:
        ConfigError: the config is not of a registered class.
    """
    entry = _entry_of_config(config)
    made: Algorithm[object] = getattr(import_module(entry.module), entry.algorithm)(config)
    return made


def config_json_of(config: object) -> tuple[str, bytes]:
    """Return the algorithm's name and the canonical JSON of its config.

    Raises:
        ConfigError: the config is not of a registered class.
    """
    entry = _entry_of_config(config)
    tree = _fields_of(config)
    tree = _fields_of(from_tree(tree, type(config), defaults=False))  # 1 for a float is 1.0 here
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return entry.name, text.encode()


def _fields_of(config: object) -> Tree:
    """Return a config's fields as a tree, its class left out."""
    tree = to_tree(config)
    if isinstance(tree, dict):
        del tree[CLASS]
    return tree


def config_from(name: str, values: Mapping[str, Tree]) -> object:
    """Return a config from what a person wrote (TOML or JSON); missing fields take their defaults.

    Raises:
        ConfigError: unknown name or field, wrong type, value out of range, required field missing.
    """
    return from_tree(dict(values), _class(entry_of(name), "config"), defaults=True)


def config_class(name: str) -> type[object]:
    """Return the class of an algorithm's config; raises ConfigError for an unknown name."""
    return _class(entry_of(name), "config")


def state_from(name: str, raw: bytes) -> object:
    """Return the state that `checkpoint.encode_state` stored for the algorithm `name`.

    Raises:
        ConfigError: unknown name, or not such a state.
    """
    return decode_state(raw, _class(entry_of(name), "state"))


def _config(entry: Entry, config_json: bytes, *, defaults: bool) -> object:
    if len(config_json) > MOST_CONFIG_BYTES:
        raise ConfigError(f"config of {len(config_json)} bytes; at most {MOST_CONFIG_BYTES}")
    try:
        tree: Tree = json.loads(config_json)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config of {entry.name} is not JSON ({error})") from None
    return from_tree(tree, _class(entry, "config"), defaults=defaults)


def _class(entry: Entry, which: str) -> type[object]:
    found = getattr(import_module(entry.module), getattr(entry, which))
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ConfigError(f"{entry.name}: its {which} is not a dataclass")
    return found


def _entry_of_config(config: object) -> Entry:
    kind = type(config)
    for entry in ENTRIES:
        if kind.__name__ == entry.config and kind is _class(entry, "config"):
            return entry
    raise ConfigError(f"{kind.__name__} is no config of a registered algorithm")
