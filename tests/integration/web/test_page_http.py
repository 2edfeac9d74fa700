"""The page's requests over real HTTP: who gets in, who may act, what every answer carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort, TaskPhase
from dreamshare_aggregator.retention import Retention, drop_old
from dreamshare_aggregator.web.access import TRIES
from tests.integration.toy import toy_config
from tests.integration.web.pages import PageStage, Visitor

pytestmark = pytest.mark.integration

ORDER = {"algorithm": "evaluate/1", "least": 4, "most": 4, "name": "from the page"}
INSIDE = ("/api/state", "/api/events", "/api/algorithms", f"/api/tasks/{'0' * 32}")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[PageStage]:
    async with AsyncExitStack() as stack:
        stage = PageStage(tmp_path, stack)
        await stage.open()
        yield stage


async def test_nobody_sees_anything_without_a_token(stage: PageStage) -> None:
    stranger = stage.visitor()
    for path in INSIDE:
        answer = await stranger.ask("GET", path)
        assert (answer.status, answer.json) == (401, {"error": "sign in first"}), path
    assert (await stranger.ask("GET", "/")).status == 200
    assert (await stranger.ask("GET", "/healthz")).body == b"ok\nrole active\n"
    assert (await stranger.ask("GET", "/metrics")).status == 401
    assert (await stranger.change("/api/tasks", ORDER)).status == 401
    assert (await stranger.ask("GET", "/api/session")).json["rank"] is None


async def test_a_viewer_looks_and_changes_nothing(stage: PageStage) -> None:
    viewer = stage.visitor()
    answer = await viewer.sign_in(stage.viewer_token)
    assert answer.json["rank"] == "viewer"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    task = await stage.aggregator.submit(EvaluateConfig(), Cohort(4, 4), name="waits")
    state = (await viewer.ask("GET", "/api/state")).json
    assert [t["name"] for t in state["tasks"]] == ["waits"]  # type: ignore[attr-defined]
    verbs = (f"/api/tasks/{task.id.hex()}/{verb}" for verb in ("cancel", "pause", "resume"))
    for path in ("/api/tasks", *verbs):
        refusal = await viewer.change(path, ORDER)
        assert refusal.status == 403
        assert "operator token" in str(refusal.json["error"])
    assert task.status.phase is TaskPhase.WAITING
    assert (await viewer.ask("POST", "/api/sign-out")).status == 200
    assert (await viewer.ask("GET", "/api/state")).status == 401


async def test_an_operator_acts_from_the_page_alone(stage: PageStage) -> None:
    operator = stage.visitor()
    await operator.sign_in(stage.operator_token)
    made = await operator.change("/api/tasks", ORDER)
    assert made.status == 201
    (status,) = stage.aggregator.tasks()
    assert (status.name, status.task.hex()) == ("from the page", made.json["id"])

    cancel, pause, resume = (
        f"/api/tasks/{status.task.hex()}/{verb}" for verb in ("cancel", "pause", "resume")
    )
    body, good = b"{}", {"x-csrf-token": operator.csrf}
    forged: list[dict[str, str]] = [
        {},
        {"x-csrf-token": "x" * len(operator.csrf)},
        {**good, "origin": "http://elsewhere.example"},
        {**good, "origin": "null"},
        {**good, "sec-fetch-site": "cross-site"},
        {**good, "sec-fetch-site": "same-site"},
    ]
    for headers in forged:
        for path in (cancel, pause):
            refusal = await operator.ask("POST", path, body, headers)
            assert refusal.status == 403, headers
    assert stage.aggregator.tasks()[0].phase is TaskPhase.WAITING

    for path, phase in ((pause, "paused"), (pause, "paused"), (resume, "waiting")):
        changed = await operator.change(path)
        assert (changed.status, changed.json["phase"]) == (200, phase)
    ended = await operator.ask("POST", cancel, body, good)
    assert (ended.status, ended.json["phase"]) == (200, "cancelled")
    for path, words in ((cancel, "over already"), (pause, "is over"), (resume, "is over")):
        again = await operator.change(path)
        assert (again.status, words in str(again.json["error"])) == (400, True)


async def test_mistakes_are_answered_in_words(stage: PageStage) -> None:
    operator = stage.visitor()
    await operator.sign_in(stage.operator_token)
    for order, fault in (
        ({**ORDER, "least": 2}, "least must be 3 or more"),
        ({**ORDER, "algorithm": "codream/1", "config": {"shape": None}}, "shape"),
        ({**ORDER, "seed": -1}, "seed is a whole number"),
    ):
        answer = await operator.change("/api/tasks", order)
        assert (answer.status, fault in str(answer.json["error"])) == (400, True), answer.json
    for task in ("x", "00", "0" * 32):
        assert (await operator.ask("GET", f"/api/tasks/{task}")).status == 400
    huge = await operator.ask(
        "POST", "/api/tasks", b"x" * (2 << 20), {"x-csrf-token": operator.csrf}
    )
    assert huge.status == 413
    assert stage.aggregator.tasks() == ()


async def test_wrong_tokens_are_turned_away_and_then_not_even_read(stage: PageStage) -> None:
    stranger = stage.visitor()
    for _ in range(TRIES):
        assert (await stranger.sign_in("a guess")).status == 401
    assert (await stranger.sign_in("a guess")).status == 429
    assert (await stranger.sign_in(stage.viewer_token)).status == 429
    elsewhere = Visitor(stage.page.url, headers={"origin": "http://elsewhere.example"})
    assert (await elsewhere.sign_in(stage.viewer_token)).status == 403


async def test_every_answer_is_dressed(stage: PageStage) -> None:
    visitor = stage.visitor()
    await visitor.sign_in(stage.viewer_token)
    paths = ("/", "/static/js/main.js", "/api/state", "/api/none", "/static/none", "/healthz")
    for path in (*paths, "/static/../server.py", "/static/%2e%2e/server.py"):
        answer = await visitor.ask("GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert b"class Watched" not in answer.body
    assert (await visitor.ask("GET", "/api/state")).headers["cache-control"] == "no-store"
    known = await visitor.ask("GET", "/static/js/main.js")
    tag = {"if-none-match": known.headers["etag"]}
    assert (await visitor.ask("GET", "/static/js/main.js", headers=tag)).status == 304


async def test_another_sites_name_cannot_be_pointed_here(stage: PageStage) -> None:
    visitor = stage.visitor()
    await visitor.sign_in(stage.viewer_token)
    answer = await visitor.ask("GET", "/api/state", headers={"host": "rebound.example"})
    assert answer.status == 421
    assert (await visitor.ask("GET", "/healthz", headers={"host": "10.1.2.3"})).status == 200


async def test_metrics_want_the_viewer_token(stage: PageStage) -> None:
    visitor = stage.visitor()
    for word in ("Bearer wrong", f"Basic {stage.viewer_token}", stage.viewer_token):
        answer = await visitor.ask("GET", "/metrics", headers={"authorization": word})
        assert answer.status == 401
    good = {"authorization": f"Bearer {stage.viewer_token}"}
    answer = await visitor.ask("GET", "/metrics", headers=good)
    assert answer.status == 200
    assert b"dreamshare_devices_connected 0.0" in answer.body
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_readiness_says_what_is_wrong(stage: PageStage) -> None:
    visitor = stage.visitor()
    answer = await visitor.ask("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"ready": True, "fault": ""})
    await stage.aggregator.__aexit__(None, None, None)
    answer = await visitor.ask("GET", "/readyz")
    assert answer.status == 503
    assert answer.json["fault"] == "the aggregator is not running"


async def test_a_past_is_the_same_whether_it_was_watched_or_is_read_later(
    stage: PageStage,
) -> None:
    visitor = stage.visitor()
    await visitor.sign_in(stage.viewer_token)
    await stage.agents(4)
    task = await stage.aggregator.submit(toy_config(rounds=3), Cohort(4, 4))
    path = f"/api/tasks/{task.id.hex()}"
    while not task.status.aggregations:
        await asyncio.wait_for(anext(task.reports()), 20)
        early = await visitor.ask("GET", path)  # from now on it is kept up to date
    await task.result()
    watched = (await visitor.ask("GET", path)).json
    assert early.json["last"] <= watched["last"]  # type: ignore[operator]
    reports = [report.number async for report in task.reports()]
    assert watched["last"] == reports[-1]
    rounds = watched["rounds"]
    assert isinstance(rounds, list)
    assert [past["step"] for past in rounds] == ["start", "train", "train", "train", "evaluate"]
    assert all(set(past["spans"]) == {"collect", "agree", "reveal"} for past in rounds)
    (point,) = watched["points"]  # type: ignore[misc]
    assert 0 < point["accuracy"] <= 1


async def test_past_rounds_outlive_their_reports(stage: PageStage) -> None:
    visitor = stage.visitor()
    await visitor.sign_in(stage.viewer_token)
    await stage.agents(4)
    task = await stage.aggregator.submit(toy_config(rounds=2), Cohort(4, 4))
    await task.result()
    later = SystemClock().now() + 11 * 86_400.0
    await stage.store.transact(lambda c: drop_old(c, Retention(reports_days=10.0), later))
    past = (await visitor.ask("GET", f"/api/tasks/{task.id.hex()}")).json
    assert [line["event"] for line in past["lines"]] == ["done"]  # type: ignore[attr-defined]
    rounds = [(r["number"], r["step"], r["closed"]) for r in past["rounds"]]  # type: ignore[attr-defined]
    steps = ("start", "train", "train", "evaluate")
    assert rounds == [(number, step, True) for number, step in enumerate(steps, start=1)]


async def test_events_go_on_where_a_reader_stopped(stage: PageStage) -> None:
    visitor = stage.visitor()
    await visitor.sign_in(stage.viewer_token)
    at = str((await visitor.ask("GET", "/api/state")).json["at"])
    first = await stage.aggregator.submit(EvaluateConfig(), Cohort(4, 4), name="first")
    names, last = await read_events(visitor, at, 2)
    assert names == ["first", "first"]  # submitted, waiting
    await stage.aggregator.submit(EvaluateConfig(), Cohort(4, 4), name="second")
    assert (await read_events(visitor, last, 1))[0] == ["second"]
    assert (await read_events(visitor, "1-1", 1))[0] == ["reset"]
    first.cancel()


async def read_events(visitor: Visitor, after: str, most: int) -> tuple[list[str], str]:
    """Return what so many events are about, and the last one's id."""
    host, _, port = visitor.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {visitor.cookie}\r\n"
    writer.write(f"{head}Last-Event-ID: {after}\r\n\r\n".encode())
    found: list[str] = []
    place = kind = ""
    try:
        async with asyncio.timeout(20):
            while len(found) < most:
                line = (await reader.readline()).decode().strip()
                name, _, value = line.partition(": ")
                if name == "id":
                    place = value
                elif name == "event":
                    kind = value
                elif name == "data" and kind in ("report", "reset"):
                    found.append(kind if kind == "reset" else json.loads(value)["task"]["name"])
    finally:
        writer.close()
    return found, place


async def test_an_open_page_lets_anybody_look(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        stage = PageStage(tmp_path, stack)
        await stage.open(open=True, open_metrics=True)
        anybody = stage.visitor()
        assert (await anybody.ask("GET", "/api/state")).status == 200
        assert (await anybody.ask("GET", "/metrics")).status == 200
        assert (await anybody.change("/api/tasks", ORDER)).status == 403


async def test_an_address_that_is_taken_is_said(stage: PageStage, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other = PageStage(tmp_path / "other", stack)
        with pytest.raises(ConfigError, match="cannot listen on"):
            await other.open(listen=stage.page.url)
