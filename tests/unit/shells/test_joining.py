"""What `join` finds before it says a word: tokens, folders, an enrolment that was done already."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare.settings import settings_text
from dreamshare.transport.address import called_from
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import InvitationTerms
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.joining import JoinOptions, joined
from dreamshare_edge.sample import FACTORY

NOW = 1_800_000_000.0


class Stage:
    """An authority, and a folder with a device that it enrolled."""

    def __init__(self, path: Path) -> None:
        self.entropy = SeededEntropy(b"joining")
        self.authority = Authority.create(b"F" * 16, self.entropy, NOW)
        self.home = path / "kitchen"
        self.home.mkdir()
        device = self.authority.issue(Role.DEVICE, "kitchen", self.entropy, NOW)
        device.save(self.home / "device.key")
        learner = LearnerConfig(FACTORY, {"seed": 1})
        (self.home / "agent.toml").write_text(settings_text(AgentConfig(learner=learner)))

    def token(self, authority: Authority | None = None) -> str:
        ends, terms = ["grpcs://127.0.0.1:9"], InvitationTerms(life_s=60)
        from_whom = authority or self.authority
        return from_whom.invite(Role.DEVICE, "x", ends, self.entropy, NOW, terms).text()

    def join(self, text: str, options: JoinOptions, now: float = NOW) -> Path:
        with joined(text, options, print, ManualClock(now), self.entropy) as settings:
            return settings


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_device_that_is_enrolled_goes_on_without_asking(stage: Stage) -> None:
    """Nobody listens at the token's address, and the token may have expired."""
    options = JoinOptions(stage.home, FACTORY)
    assert stage.join(stage.token(), options, NOW + 3600) == stage.home / "agent.toml"


@pytest.mark.parametrize("text", ["", "dreamshare-token-1:", "dreamshare-token-1:AAAA", "hello"])
def test_what_is_no_token(stage: Stage, text: str) -> None:
    with pytest.raises(ConfigError, match="token"):
        stage.join(text, JoinOptions(stage.home))


def test_an_expired_token_for_a_new_device(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ask the operator for a new one"):
        stage.join(stage.token(), JoinOptions(tmp_path / "new"), NOW + 3600)


def test_a_folder_of_another_federation(stage: Stage) -> None:
    other = Authority.create(b"G" * 16, stage.entropy, NOW)
    with pytest.raises(ConfigError, match="another federation"):
        stage.join(stage.token(other), JoinOptions(stage.home))


def test_another_learner_than_the_one_that_is_set(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="another learner"):
        stage.join(stage.token(), JoinOptions(stage.home, "my.learner:make"))


def test_a_folder_in_use(stage: Stage) -> None:
    with (stage.home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process uses"):
            stage.join(stage.token(), JoinOptions(stage.home))


def test_a_learner_in_a_file_is_named_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert JoinOptions(None, "my.py:make").named == LearnerConfig(f"{tmp_path / 'my.py'}:make")
    assert JoinOptions(None, "my.module:make").named == LearnerConfig("my.module:make")
    assert JoinOptions(None, "net.dream").named == LearnerConfig(bundle=tmp_path / "net.dream")
    assert JoinOptions().named is None


def test_a_link_without_a_host_takes_that_of_the_call() -> None:
    called = "grpcs://hub.example:7444"
    assert called_from("grpcs://:7443", called) == "grpcs://hub.example:7443"
    assert called_from("grpcs://a.example:1", called) == "grpcs://a.example:1"
    assert called_from("mqtts://broker:8883", called) == "mqtts://broker:8883"
    with pytest.raises(ConfigError):
        called_from("grpcs://:7443/path", called)
