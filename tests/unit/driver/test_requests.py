"""Operators and viewers: what they ask, who answers, and what a viewer may not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from dreamshare.driver.caller import Caller
from dreamshare.errors import ConfigError, Rejected
from dreamshare.ids import NO_TASK, PartyId
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import (
    Cohort,
    ControlError,
    ListTasks,
    Message,
    Reply,
    Request,
    Submit,
    TaskList,
    Watch,
)
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.certificates import Role
from tests.unit.driver.stage import BACKOFF, Stage


class Operator:
    """An operator's end: requests out, replies in."""

    def __init__(self, stage: Stage, role: Role = Role.OPERATOR) -> None:
        self.identity = stage.federation.issue(role, role.name)
        self.replies: list[Message] = []
        link = stage.network.link(self.identity.id.hex())
        self.caller = Caller(link, self.identity, stage.clock, random.Random(2), BACKOFF)
        self.calling = asyncio.ensure_future(self.caller.call(lambda: None, self._deliver))

    def ask(self, request: Request) -> None:
        assert self.caller.peering is not None
        self.caller.peering.send(Address(NO_TASK), request)

    def _deliver(self, arrival: Arrival) -> None:
        assert self.caller.peering is not None
        self.replies.append(self.caller.peering.open(arrival).message)
        self.caller.peering.acknowledge(arrival.place)

    async def hang_up(self) -> None:
        await self.caller.hang_up()
        await self.calling


def test_requests_are_answered_by_the_front_desk() -> None:
    stage = Stage()
    asked: list[tuple[PartyId, Request]] = []

    async def answers(operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        asked.append((operator, request))
        if isinstance(request.request, Watch):
            yield Reply(request.number, TaskList(()), last=False)
            await stage.later(1.0)
            raise ConfigError("no such task")
        yield Reply(request.number, TaskList(()))

    stage.office.answers = answers

    async def play() -> None:
        async with stage.open():
            operator = Operator(stage)
            await stage.later(0.1)
            operator.ask(Request(1, ListTasks()))
            operator.ask(Request(2, Watch(stage.task)))
            await stage.later(2.0)
            assert operator.replies == [
                Reply(1, TaskList(())),
                Reply(2, TaskList(()), last=False),
                Reply(2, ControlError("no such task")),
            ]
            assert [request.number for _, request in asked] == [1, 2]
            assert asked[0][0] == operator.identity.id
            assert stage.aggregator.devices() == ()  # an operator is no device
            await operator.hang_up()

    stage.play(play())


def test_a_viewer_may_look_and_nothing_else() -> None:
    stage = Stage()
    asked: list[Request] = []

    async def answers(operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        asked.append(request)
        yield Reply(request.number, TaskList(()))

    stage.office.answers = answers

    async def play() -> None:
        async with stage.open():
            viewer = Operator(stage, Role.VIEWER)
            await stage.later(0.1)
            viewer.ask(Request(1, Submit("toy/1", b"{}", Cohort(3, 3))))
            viewer.ask(Request(2, ListTasks()))
            await stage.later(0.5)
            assert [request.number for request in asked] == [2]
            text = "a viewer may list, watch and fetch; submit takes an operator's identity"
            assert viewer.replies == [Reply(1, ControlError(text)), Reply(2, TaskList(()))]
            await viewer.hang_up()

    stage.play(play())


def test_an_aggregator_is_not_called_with_an_aggregators_certificate() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            impostor = Operator(stage, Role.AGGREGATOR)
            with pytest.raises(Rejected, match="role"):
                await impostor.calling

    stage.play(play())
