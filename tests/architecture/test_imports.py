"""Every module imports, the public names are pinned, and importing is cheap."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import dreamshare
from tests.architecture.packages import ROOMS, loaded_by, modules

TERMINAL = ("matplotlib", "rich", "sklearn", "typer")
HEAVY = ("torch", "onnxruntime", "grpc", "aiomqtt", "sqlalchemy", "uvloop", *TERMINAL)

PUBLIC = {
    "__version__",
    "Clock",
    "ManualClock",
    "SystemClock",
    "Field",
    "Update",
    "Algorithm",
    "Ask",
    "Crowd",
    "Done",
    "Tell",
    "CodreamConfig",
    "EvaluateConfig",
    "FedAvgConfig",
    "FedH2LConfig",
    "FedIODConfig",
    "MomentsConfig",
    "ConsensusConfig",
    "PublicSet",
    "SharingData",
    "load_public",
    "Batch",
    "Data",
    "Learner",
    "ArrayData",
    "TorchLearner",
    "OnnxLearner",
    "read_bundle",
    "GrpcLink",
    "GrpcListener",
    "MqttLink",
    "MqttListener",
    "MemoryNetwork",
    "TlsFiles",
    "Client",
    "Artifact",
    "Result",
    "DeviceStatus",
    "RoundEntry",
    "TaskEnded",
    "Identity",
    "Cohort",
    "Deadlines",
    "TaskPhase",
    "TaskReport",
    "TaskStatus",
    "EpochJoined",
    "RoundAborted",
    "RoundDeclined",
    "RoundDone",
    "TaskOver",
    "TellLearnt",
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
}


@pytest.mark.parametrize("name", [m for m in modules() if not m.endswith("__main__")])
def test_every_module_imports(name: str) -> None:
    assert importlib.import_module(name).__name__ == name


@pytest.mark.parametrize("name", [m for m in modules() if m.endswith("__main__")])
def test_every_command_offers_main_and_does_nothing_when_imported(name: str) -> None:
    assert callable(importlib.import_module(name).main)


def test_every_module_says_what_it_is() -> None:
    silent = [
        m for m in modules() if "_pb2" not in m and not (importlib.import_module(m).__doc__ or "")
    ]
    assert silent == []


def test_public_names_are_pinned() -> None:
    assert set(dreamshare.__all__) == PUBLIC
    assert len(dreamshare.__all__) == len(PUBLIC)


def test_every_public_name_resolves_and_is_offered() -> None:
    for name in PUBLIC:
        assert getattr(dreamshare, name) is not None
    assert set(dir(dreamshare)) == PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Dream'"):
        _ = dreamshare.Dream  # type: ignore[attr-defined]


def test_importing_the_library_costs_the_standard_library_alone() -> None:
    loaded = loaded_by("import dreamshare")
    assert not loaded & {*HEAVY, "numpy", "cryptography", "google"}


def test_using_the_light_names_costs_no_framework_and_no_transport() -> None:
    transports = {"GrpcLink", "GrpcListener", "MqttLink", "MqttListener"}
    light = ", ".join(sorted(PUBLIC - transports - {"TorchLearner", "OnnxLearner", "read_bundle"}))
    assert not loaded_by(f"from dreamshare import {light}") & set(HEAVY)


def test_an_idle_agent_holds_nothing_that_it_may_never_need() -> None:
    """It has 80 MB: entities for notebooks are 1.7 of them, exact fractions half a one."""
    loaded = loaded_by("import dreamshare_edge.__main__, dreamshare_edge.bundled")
    assert not loaded & {"html", "difflib", "fractions", "decimal"}


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("TorchLearner", "torch", "torch"),
        ("OnnxLearner", "onnxruntime", "onnx"),
        ("GrpcLink", "grpc", "grpc"),
    ],
)
def test_a_missing_extra_is_named(name: str, missing: str, extra: str) -> None:
    script = (
        f"import sys\nsys.modules[{missing!r}] = None\nimport dreamshare\n"
        f"try:\n    dreamshare.{name}\nexcept ImportError as error:\n    print(error)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert f"pip install 'dreamshare[{extra}]'" in answer.stdout


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_importing_a_package_costs_no_framework(package: str) -> None:
    assert not loaded_by(f"import {package}") & {"torch", *TERMINAL}


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_every_package_is_typed(package: str) -> None:
    assert (ROOMS[package] / "py.typed").is_file()
