"""Several addresses: in turn, the one that answered last first, and one refusal is final."""

from __future__ import annotations

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.base import Connection
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.transport.several import SeveralLinks


class Address:
    """A link that answers, is away, or refuses."""

    def __init__(self, name: str, tried: list[str], error: Exception | None = None) -> None:
        self.name = name
        self.tried = tried
        self.error = error

    async def connect(self) -> Connection:
        self.tried.append(self.name)
        if self.error is not None:
            raise self.error
        network = MemoryNetwork(ManualClock())
        await network.listener().start()
        return await network.link("00" * 16).connect()

    def __str__(self) -> str:
        return self.name


async def test_the_address_that_answered_last_is_tried_first() -> None:
    tried: list[str] = []
    one, two = Address("one", tried, Unreachable("one is away")), Address("two", tried)
    links = SeveralLinks([one, two])
    await links.connect()
    await links.connect()
    assert tried == ["one", "two", "two"]
    one.error, two.error = None, Unreachable("two is away")
    await links.connect()
    assert tried[3:] == ["two", "one"]


async def test_one_attempt_is_one_round_and_says_what_each_said() -> None:
    tried: list[str] = []
    away = [Address(name, tried, Unreachable(f"{name} is away")) for name in ("one", "two")]
    with pytest.raises(Unreachable, match="one is away; two is away"):
        await SeveralLinks(away).connect()
    assert tried == ["one", "two"]
    assert str(SeveralLinks(away)) == "one, two"


async def test_a_refusal_is_final() -> None:
    tried: list[str] = []
    links = SeveralLinks([Address("one", tried, Rejected("no")), Address("two", tried)])
    with pytest.raises(Rejected):
        await links.connect()
    assert tried == ["one"]


def test_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="no link is named"):
        SeveralLinks([])
