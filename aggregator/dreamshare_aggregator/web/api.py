"""The page's requests: who signs in, what is shown, what an operator changes.

Rules:
- everything but the page's own files and the probes needs a session that may look; what changes
  something needs an operator's session, its CSRF token, and a page of ours that sends it;
- bodies are small and read up to a limit; a mistake is answered in words, as {"error": "..."};
- the address that limits sign-ins is the connection's: behind a proxy everybody shares one.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.ids import TaskId, parse_id
from dreamshare.protocol.messages import Submit, TaskStatus
from dreamshare_aggregator.web.access import LIFE_S, Access, Rank, Session
from dreamshare_aggregator.web.guard import from_our_page
from dreamshare_aggregator.web.model import ReadModel
from dreamshare_aggregator.web.orders import order_from, templates
from dreamshare_aggregator.web.stream import EventStream, Readers

MOST_FORM = 1 << 20
_MOST_TOKEN = 4096

Answer = Callable[[Request], Awaitable[Response]]


class Operations(Protocol):
    """What an operator may change."""

    async def submit(self, order: Submit) -> TaskStatus:
        """Queue a task; raises ConfigError."""
        ...

    async def cancel(self, task: TaskId) -> TaskStatus:
        """End a task; raises ConfigError."""
        ...

    async def pause(self, task: TaskId) -> TaskStatus:
        """Let a task rest once its open round is finished; raises ConfigError."""
        ...

    async def resume(self, task: TaskId) -> TaskStatus:
        """Let a paused task go on; raises ConfigError."""
        ...


class _Refused(DreamshareError):
    """A request that is not carried out; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """The requests below /api/.

    Attributes:
        model: what is shown.
        access: the door.
        operations: what is changed.
        clock: times sessions.
        readers: counts event streams.
        secure: cookies travel over TLS only.
    """

    model: ReadModel
    access: Access
    operations: Operations
    clock: Clock
    readers: Readers
    secure: bool

    @property
    def cookie(self) -> str:
        """The cookie's name; browsers hold a __Host- cookie to this host and to TLS."""
        return "__Host-dreamshare" if self.secure else "dreamshare"

    # ---- the door --------------------------------------------------------------------------------

    async def session(self, request: Request) -> Response:
        """Say who asks."""
        return self._who(self._session(request))

    async def sign_in(self, request: Request) -> Response:
        """Turn a token into a session."""
        address, now = request.client.host if request.client else "", self.clock.now()
        if not from_our_page(request):
            raise _Refused(403, "sign in from the page itself")
        if not self.access.may_try(address, now):
            raise _Refused(429, "too many wrong tokens; wait a minute")
        token = (await _body(request, _MOST_TOKEN)).decode("utf-8", "replace").strip()
        cookie = self.access.sign_in(token, address, now)
        if cookie is None:
            raise _Refused(401, "this token is not one of this aggregator's")
        answer = self._who(self.access.session(cookie, now))
        answer.set_cookie(
            self.cookie,
            cookie,
            max_age=int(LIFE_S),
            httponly=True,
            samesite="strict",
            secure=self.secure,
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Forget the session."""
        if not from_our_page(request):
            raise _Refused(403, "sign out from the page itself")
        self.access.sign_out(request.cookies.get(self.cookie, ""))
        answer = self._who(self.access.session(None, self.clock.now()))
        answer.delete_cookie(self.cookie, httponly=True, samesite="strict", secure=self.secure)
        return answer

    # ---- looking ---------------------------------------------------------------------------------

    async def state(self, request: Request) -> Response:
        """Answer with the snapshot."""
        self._looking(request)
        return JSONResponse(self.model.snapshot())

    async def events(self, request: Request) -> EventStream:
        """Answer with the news, for as long as somebody reads."""
        self._looking(request)
        if self.readers.full:
            raise _Refused(503, "too many pages are open; close one")
        return EventStream(self.model.feed, self.readers, request)

    async def task(self, request: Request) -> Response:
        """Answer with a task and its past."""
        self._looking(request)
        return JSONResponse(await self.model.past(_task(request)))

    async def dreams(self, request: Request) -> Response:
        """Answer with where each dream lies on the picture."""
        self._looking(request)
        version, sheet = await self.model.sheet(_task(request))
        if sheet is None:
            return JSONResponse({"version": version, "labels": []})
        return JSONResponse(
            {
                "version": version,
                "width": sheet.width,
                "height": sheet.height,
                "columns": sheet.columns,
                "labels": sheet.labels,
                "cycles": sheet.cycles,
                "forming": sheet.forming,
            }
        )

    async def picture(self, request: Request) -> Response:
        """Answer with the picture of dreams; the newest, whatever version is asked for."""
        self._looking(request)
        _, sheet = await self.model.sheet(_task(request))
        if sheet is None:
            raise _Refused(404, "there are no dreams yet")
        return Response(sheet.png, media_type="image/png")

    # ---- acting ----------------------------------------------------------------------------------

    async def algorithms(self, request: Request) -> Response:
        """Answer with what can be submitted, and a config to begin with."""
        self._looking(request)
        return JSONResponse(templates())

    async def submit(self, request: Request) -> Response:
        """Queue a task."""
        self._acting(request)
        status = await self.operations.submit(order_from(await _body(request, MOST_FORM)))
        return JSONResponse({"id": status.task.hex()}, 201)

    async def cancel(self, request: Request) -> Response:
        """End a task."""
        return await self._change(request, self.operations.cancel)

    async def pause(self, request: Request) -> Response:
        """Let a task rest."""
        return await self._change(request, self.operations.pause)

    async def resume(self, request: Request) -> Response:
        """Let a paused task go on."""
        return await self._change(request, self.operations.resume)

    # ---- inside ----------------------------------------------------------------------------------

    async def _change(
        self, request: Request, change: Callable[[TaskId], Awaitable[TaskStatus]]
    ) -> Response:
        self._acting(request)
        status = await change(_task(request))
        return JSONResponse({"id": status.task.hex(), "phase": status.phase.value})

    def _session(self, request: Request) -> Session | None:
        return self.access.session(request.cookies.get(self.cookie), self.clock.now())

    def _looking(self, request: Request) -> Session:
        session = self._session(request)
        if session is None:
            raise _Refused(401, "sign in first")
        return session

    def _acting(self, request: Request) -> None:
        session = self._looking(request)
        if session.rank < Rank.OPERATOR:
            raise _Refused(403, "sign in with the operator token to change something")
        shown = request.headers.get("x-csrf-token", "").encode()
        if not from_our_page(request) or not hmac.compare_digest(shown, session.csrf.encode()):
            raise _Refused(403, "this request does not come from the page; load it again")

    def _who(self, session: Session | None) -> JSONResponse:
        rank = None if session is None else session.rank.name.lower()
        csrf = "" if session is None else session.csrf
        return JSONResponse({"rank": rank, "csrf": csrf, "signed_in": bool(csrf)})


async def refused(request: Request, error: Exception) -> Response:
    """Answer a request that cannot be carried out."""
    match error:
        case _Refused(status=status):
            return JSONResponse({"error": str(error)}, status)
        case ConfigError():
            return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"error": "the aggregator cannot do this now; see its log"}, 503)


async def _body(request: Request, most: int) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _Refused(413, f"more than {most} bytes")
    return body


def _task(request: Request) -> TaskId:
    return TaskId(parse_id(request.path_params["task"]))
