"""An operator's or viewer's request, answered over its own connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from dreamshare.driver.front import FrontDesk
from dreamshare.driver.offloading import encoded
from dreamshare.driver.party import Party
from dreamshare.engine import Engine
from dreamshare.errors import DreamshareError
from dreamshare.ids import NO_TASK
from dreamshare.protocol.envelope import Address, refusal_of_request
from dreamshare.protocol.messages import ControlError, Reply, Request


async def answer(
    party: Party, request: Request, front: FrontDesk, engine: Engine, tell: Callable[[Reply], None]
) -> None:
    """Post every reply as there is room for it; a request that cannot be answered is told why."""
    refused = refusal_of_request(party.role, request.request)
    if refused:
        tell(Reply(request.number, ControlError(refused)))
        return
    replies: AsyncIterator[Reply] = front.answer(party.id, request)
    try:
        async for reply in replies:
            await party.peering.until_room()
            if not party.connected:
                return
            party.post(Address(NO_TASK), await encoded(engine, reply))
    except DreamshareError as error:
        tell(Reply(request.number, ControlError(str(error))))
