"""Captions of an agent's own pictures: from a settings file to what an owner lets a task read."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from dreamshare.binding import CatalogWork
from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.learning.base import Floats
from dreamshare.learning.captioned import captioned_of
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.protocol.permits import refusal_of
from dreamshare.transport.tap import ByteCounter
from dreamshare_crypto.errors import RefusalCode
from dreamshare_edge import equipment
from dreamshare_edge.agent import log_outcome
from dreamshare_edge.conditions import ManualConditions
from dreamshare_edge.config import load_config
from dreamshare_edge.data_config import DataConfig
from dreamshare_edge.desk import AgentPermits
from dreamshare_edge.equipment import equipment_of
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore
from tests.algorithms.test_generative_text import disclosing_plan
from tests.sim.secagg.federation import NOW

FACTORY = """
from dreamshare_edge.equipment import Equipment
from tests.algorithms.toy import ToyLearner, toy_data

def made(settings):
    return Equipment(ToyLearner(), toy_data(0))
"""

SETTINGS = """
[learner]
factory = "{folder}/made.py:made"
[data]
captions = "said.csv"
private_names = ["Bob"]
[policy]
captions = {most}
captions_least = 2
"""

SAID = "class,caption\n0,a shoe\n0,a shoe\n1,a shirt of bob\n1,a shirt of bob\n2,a bag\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text(FACTORY)
    (tmp_path / "said.csv").write_text(SAID)
    path = tmp_path / "agent.toml"
    path.write_text(SETTINGS.format(folder=tmp_path, most=4))
    return path


def test_captions_lie_beside_the_data_and_names_stay(settings: Path) -> None:
    data = equipment_of(load_config(settings)).data
    (only,) = captioned_of(data).captions(data, 4, 2)
    assert (only.label, only.text) == (0, "a shoe")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"private_names": ("Bob",)}, "private_names goes with captions"),
        ({"captions": Path("a"), "captioner": "b", "captioner_digest": "c"}, "one of captions"),
        ({"captioner": "b"}, "captioner_digest go together"),
        ({"captioner_digest": "b"}, "captioner_digest go together"),
        ({"captioner_range": (0.0,)}, "captioner_range is two numbers"),
    ],
)
def test_tables_that_make_no_sense(table, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DataConfig(**table)


def named(settings: Path, captioner: str, digest: str) -> Path:
    """The same settings with a captioner in the place of captions."""
    wanted = f'captioner = "{captioner}"\ncaptioner_digest = "{digest}"'
    settings.write_text(settings.read_text().replace('captions = "said.csv"', wanted))
    return settings


class Plain:
    """In the place of `dreamshare.learning.torch.captioning`, whose own tests run the real one."""

    def __init__(self, asked: list[object]) -> None:
        self._asked = asked

    def captions(self, x_NCHW: Floats) -> list[str]:
        return ["a shoe", *["a bag of bob"] * (len(x_NCHW) - 1)]

    def CaptionerSettings(self, **values: object) -> object:
        return values

    def open_captioner(self, *values: object) -> Plain:
        self._asked += values
        return self


def test_a_captioners_folder_and_digest_are_all_that_an_owner_names(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setitem(sys.modules, equipment.CAPTIONING, Plain(asked))  # type: ignore[arg-type]
    data = equipment_of(load_config(named(settings, "someone/blip", "0" * 64))).data
    assert asked == ["someone/blip", "0" * 64, {"low": 0.0, "high": 1.0, "offline": True}]
    (only,) = captioned_of(data).captions(data, 9, 1)
    assert only.text == "a shoe"


def test_what_a_captioner_needs_is_named(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equipment, "CAPTIONING", "dreamshare.learning.torch.absent")
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[diffusers\]'"):
        equipment_of(load_config(named(settings, "someone/blip", "0" * 64)))


@pytest.mark.parametrize(("most", "code"), [(4, None), (3, RefusalCode.S6), (0, RefusalCode.S6)])
def test_the_owner_decides_before_anything_is_read(
    settings: Path, most: int, code: RefusalCode | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The policy of the file, the real algorithm behind the plan, the line in the log."""
    settings.write_text(SETTINGS.format(folder=settings.parent, most=most))
    policy = load_config(settings).policy
    name = "generative/1"
    work = CatalogWork([name])
    plan = disclosing_plan(text_least=2)
    with FileStore(settings.parent / "store") as store:
        spending = Spending(store, ByteCounter(), ManualClock(NOW))
        permits = AgentPermits((name,), policy, ManualConditions(), spending, work.disclosure)
        refused = refusal_of(permits, plan)
        assert (None if refused is None else refused[0]) is code
    if refused is not None:
        with caplog.at_level(logging.WARNING, "dreamshare_edge"):
            log_outcome(RoundDeclined(TaskId(bytes(16)), 3, *refused))
        (record,) = caplog.records
        assert f"captions allows {most}" in record.getMessage()
