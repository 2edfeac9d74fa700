"""Dreamshare: federated learning in which devices share dreams under secure aggregation.

Rules:
- this is the library's whole public surface: names are added here by hand, and a test pins them;
- a name is imported when it is first used, so `import dreamshare` costs neither numpy nor torch,
  neither grpc nor a broker's client;
- the two shells are packages of their own: `dreamshare_edge` and `dreamshare_aggregator`.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
    from dreamshare.algorithms.codream.config import CodreamConfig
    from dreamshare.algorithms.consensus import ConsensusConfig
    from dreamshare.algorithms.evaluate import EvaluateConfig
    from dreamshare.algorithms.fedavg import FedAvgConfig
    from dreamshare.algorithms.fedh2l import FedH2LConfig
    from dreamshare.algorithms.fediod.config import FedIODConfig
    from dreamshare.algorithms.moments.config import MomentsConfig
    from dreamshare.client import Client
    from dreamshare.clock import Clock, ManualClock, SystemClock
    from dreamshare.errors import (
        BudgetExhausted,
        ConfigError,
        DreamshareError,
        FrameTooLarge,
        LocalProtocolError,
        PeerProtocolError,
        PrivacyError,
        Rejected,
        TransportError,
        Unreachable,
        UnsafePlan,
    )
    from dreamshare.learning.base import Batch, Data, Learner
    from dreamshare.learning.data import ArrayData
    from dreamshare.learning.onnx.bundle import read_bundle
    from dreamshare.learning.onnx.learner import OnnxLearner
    from dreamshare.learning.public import PublicSet, SharingData, load_public
    from dreamshare.learning.torch.learner import TorchLearner
    from dreamshare.privacy import Privacy
    from dreamshare.protocol.history import RoundEntry
    from dreamshare.protocol.messages import (
        Cohort,
        Deadlines,
        DeviceStatus,
        TaskPhase,
        TaskReport,
        TaskStatus,
    )
    from dreamshare.protocol.outcomes import (
        EpochJoined,
        RoundAborted,
        RoundDeclined,
        RoundDone,
        TaskOver,
        TellLearnt,
    )
    from dreamshare.results import Artifact, Result, TaskEnded
    from dreamshare.transport.grpc import GrpcLink, GrpcListener
    from dreamshare.transport.memory import MemoryNetwork
    from dreamshare.transport.mqtt.link import MqttLink
    from dreamshare.transport.mqtt.listener import MqttListener
    from dreamshare.transport.tls import TlsFiles
    from dreamshare.updates import Field, Update
    from dreamshare_crypto.identity import Identity

__version__ = "0.1.0"

__all__ = (
    "__version__",
    # time
    "Clock",
    "ManualClock",
    "SystemClock",
    # what leaves a device
    "Field",
    "Update",
    # algorithms: the contract, and the configs of those that come along
    "Algorithm",
    "Ask",
    "Crowd",
    "Done",
    "Tell",
    "CodreamConfig",
    "ConsensusConfig",
    "EvaluateConfig",
    "FedAvgConfig",
    "FedH2LConfig",
    "FedIODConfig",
    "MomentsConfig",
    # learners and their data
    "Batch",
    "Data",
    "Learner",
    "ArrayData",
    "PublicSet",
    "SharingData",
    "load_public",
    "TorchLearner",
    "OnnxLearner",
    "read_bundle",
    # ways to the other end
    "GrpcLink",
    "GrpcListener",
    "MqttLink",
    "MqttListener",
    "MemoryNetwork",
    "TlsFiles",
    # tasks, and an operator's way to them
    "Client",
    "Artifact",
    "Result",
    "Identity",
    "Cohort",
    "Deadlines",
    "DeviceStatus",
    "RoundEntry",
    "TaskEnded",
    "TaskPhase",
    "TaskReport",
    "TaskStatus",
    # what becomes of a round, as a device sees it
    "EpochJoined",
    "RoundAborted",
    "RoundDeclined",
    "RoundDone",
    "TaskOver",
    "TellLearnt",
    # errors
    "BudgetExhausted",
    "ConfigError",
    "DreamshareError",
    "FrameTooLarge",
    "LocalProtocolError",
    "PeerProtocolError",
    "Privacy",
    "PrivacyError",
    "Rejected",
    "TransportError",
    "Unreachable",
    "UnsafePlan",
)

_HOMES = MappingProxyType(
    {
        "Clock": "dreamshare.clock",
        "ManualClock": "dreamshare.clock",
        "SystemClock": "dreamshare.clock",
        "Field": "dreamshare.updates",
        "Update": "dreamshare.updates",
        "Algorithm": "dreamshare.algorithms.base",
        "Ask": "dreamshare.algorithms.base",
        "Crowd": "dreamshare.algorithms.base",
        "Done": "dreamshare.algorithms.base",
        "Tell": "dreamshare.algorithms.base",
        "CodreamConfig": "dreamshare.algorithms.codream.config",
        "ConsensusConfig": "dreamshare.algorithms.consensus",
        "EvaluateConfig": "dreamshare.algorithms.evaluate",
        "FedAvgConfig": "dreamshare.algorithms.fedavg",
        "FedH2LConfig": "dreamshare.algorithms.fedh2l",
        "FedIODConfig": "dreamshare.algorithms.fediod",
        "MomentsConfig": "dreamshare.algorithms.moments",
        "Batch": "dreamshare.learning.base",
        "Data": "dreamshare.learning.base",
        "Learner": "dreamshare.learning.base",
        "ArrayData": "dreamshare.learning.data",
        "PublicSet": "dreamshare.learning.public",
        "SharingData": "dreamshare.learning.public",
        "load_public": "dreamshare.learning.public",
        "TorchLearner": "dreamshare.learning.torch.learner",
        "OnnxLearner": "dreamshare.learning.onnx.learner",
        "read_bundle": "dreamshare.learning.onnx.bundle",
        "GrpcLink": "dreamshare.transport.grpc",
        "GrpcListener": "dreamshare.transport.grpc",
        "MqttLink": "dreamshare.transport.mqtt.link",
        "MqttListener": "dreamshare.transport.mqtt.listener",
        "MemoryNetwork": "dreamshare.transport.memory",
        "TlsFiles": "dreamshare.transport.tls",
        "Client": "dreamshare.client",
        "Artifact": "dreamshare.results",
        "Result": "dreamshare.results",
        "TaskEnded": "dreamshare.results",
        "DeviceStatus": "dreamshare.protocol.messages",
        "RoundEntry": "dreamshare.protocol.history",
        "Identity": "dreamshare_crypto.identity",
        "Cohort": "dreamshare.protocol.messages",
        "Deadlines": "dreamshare.protocol.messages",
        "TaskPhase": "dreamshare.protocol.messages",
        "TaskReport": "dreamshare.protocol.messages",
        "TaskStatus": "dreamshare.protocol.messages",
        "EpochJoined": "dreamshare.protocol.outcomes",
        "RoundAborted": "dreamshare.protocol.outcomes",
        "RoundDeclined": "dreamshare.protocol.outcomes",
        "RoundDone": "dreamshare.protocol.outcomes",
        "TaskOver": "dreamshare.protocol.outcomes",
        "TellLearnt": "dreamshare.protocol.outcomes",
        "BudgetExhausted": "dreamshare.errors",
        "ConfigError": "dreamshare.errors",
        "DreamshareError": "dreamshare.errors",
        "FrameTooLarge": "dreamshare.errors",
        "LocalProtocolError": "dreamshare.errors",
        "PeerProtocolError": "dreamshare.errors",
        "Privacy": "dreamshare.privacy",
        "PrivacyError": "dreamshare.errors",
        "Rejected": "dreamshare.errors",
        "TransportError": "dreamshare.errors",
        "Unreachable": "dreamshare.errors",
        "UnsafePlan": "dreamshare.errors",
    }
)

_EXTRAS = MappingProxyType(
    {
        "torch": "torch",
        "safetensors": "torch",
        "onnxruntime": "onnx",
        "grpc": "grpc",
        "aiomqtt": "mqtt",
    }
)
"""Foreign module -> the extra that brings it."""


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562).

    Raises:
        AttributeError: there is no such name.
        ImportError: it needs an extra that is not installed; the text says which.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'dreamshare' has no attribute {name!r}")
    try:
        value: object = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        hint = f"dreamshare.{name} needs {error.name}: pip install 'dreamshare[{extra}]'"
        raise ImportError(hint, name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
