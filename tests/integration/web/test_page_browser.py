"""The page clicked through in a real browser: submit, watch, cancel; looks; hostile devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Crowd
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.protocol.messages import Cohort, TaskPhase
from tests.integration.toy import toy_config
from tests.integration.web.browser import PHONE, Window, window
from tests.integration.web.pages import PageStage

pytestmark = pytest.mark.integration

HOSTILE = "<img src=x onerror=alert(1)>\"'&lt;/b><script>alert(2)</script>"
MARKS = "document.querySelectorAll('main img[src=x], main script, main iframe').length"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[PageStage]:
    async with AsyncExitStack() as stack:
        stage = PageStage(tmp_path, stack)
        await stage.open()
        yield stage


async def fill_form(shown: Window, name: str, config: str) -> None:
    tab = shown.tab
    await tab.get_by_role("button", name="New task").click()
    await tab.get_by_label("Algorithm").select_option("fedavg/1")
    await tab.get_by_label("Name", exact=True).fill(name)
    await tab.get_by_label("Config").fill(config)


def wanted(rounds: int) -> str:
    """Return the config of a toy run as a person would write it."""
    config = toy_config(rounds=rounds)
    names = ("shapes", "layout", "classes", "rounds", "fit_steps", "batch", "learning_rate")
    values = {name: getattr(config, name) for name in (*names, "evaluate", "weighting")}
    return json.dumps(values)


async def test_submit_watch_and_cancel(stage: PageStage) -> None:
    await stage.agents(4)
    async with window(stage.page.url) as shown:
        tab = shown.tab
        await shown.sign_in(stage.page.url, stage.operator_token)
        await shown.says("#no-tasks", "Nothing runs yet")
        await shown.says("#devices", "toy 3")

        # a mistake is answered in the form, which keeps what was written
        await fill_form(shown, "first", "{")
        await tab.get_by_role("button", name="Submit task").click()
        await shown.says("#form-error", "The config is not JSON")
        await tab.get_by_label("Config").fill('{"rounds": 1}')
        await tab.get_by_role("button", name="Submit task").click()
        await shown.says("#form-error", "shapes")
        await tab.get_by_role("button", name="Close").click()

        # a run to its end: rounds, devices, curves
        await fill_form(shown, "first", wanted(rounds=3))
        await tab.get_by_role("button", name="Submit task").click()
        await shown.says("#task-title", "first")
        await shown.says("#task-phase", "done")
        await shown.says("#past-note", "5 opened, 0 abandoned")
        await shown.says("#round-title", "evaluate")
        await shown.says("#lanes", "toy 2")
        await shown.says("#log", "train: sum over 4 of 4 devices")
        await shown.says("#accuracy-now", "%")
        await shown.until("document.querySelector('#accuracy canvas') !== null")
        await shown.until("document.querySelectorAll('#strip i').length === 5")
        assert await tab.locator("#strip u").count() == 15, "three stages of five rounds"
        assert await tab.locator("#cancel").is_hidden()
        assert await tab.locator("#rest").is_hidden()

        # a long run, watched while it goes on, then cancelled after it was asked
        await fill_form(shown, "second", wanted(rounds=500))
        await tab.get_by_role("button", name="Submit task").click()
        await shown.says("#task-title", "second")
        await shown.says("#round-title", "train")
        # paused and resumed by keyboard: the button stays where it is, and the focus on it
        await tab.get_by_role("button", name="Pause task").focus()
        await tab.keyboard.press("Enter")
        await shown.says("#task-phase", "paused")
        assert stage.aggregator.tasks()[1].phase is TaskPhase.PAUSED
        await shown.says("#rest", "Resume task")
        assert await tab.evaluate("document.activeElement.id") == "rest"
        await tab.keyboard.press("Enter")
        await shown.says("#task-phase", "running")
        await shown.says("#rest", "Pause task")

        await tab.get_by_role("button", name="Cancel task").click()
        await tab.get_by_role("button", name="Keep it").click()
        assert stage.aggregator.tasks()[1].phase is TaskPhase.RUNNING
        await tab.locator("#cancel").click()
        await tab.locator("#confirm-yes").click()
        await shown.says("#task-phase", "cancelled")
        assert stage.aggregator.tasks()[1].phase is TaskPhase.CANCELLED

        # back to the first by its entry; then out
        await tab.locator("#tasks button").filter(has_text="first").click()
        await shown.says("#task-title", "first")
        await tab.get_by_role("button", name="Sign out").click()
        await tab.locator("#sign-in").wait_for(state="visible")
        assert await tab.locator("#page").is_hidden()
        assert shown.faults == [
            # the one mistake that went to the aggregator
            "error: Failed to load resource: the server responded with a status of 400 "
            "(Bad Request)"
        ]
        assert {address.partition("/api")[0] for address in shown.asked if "/api" in address} == {
            stage.page.url
        }


async def test_a_viewer_has_nothing_to_press_and_a_link_signs_in(stage: PageStage) -> None:
    await stage.aggregator.submit(EvaluateConfig(), Cohort(4, 4), name="waits")
    async with window(stage.page.url) as shown:
        await shown.tab.goto(f"{stage.page.url}/#token={stage.viewer_token}")
        await shown.says("#task-title", "waits")
        assert stage.viewer_token not in shown.tab.url, "the token leaves the address bar"
        assert stage.viewer_token not in await shown.tab.content()
        assert await shown.tab.evaluate("document.cookie") == "", "scripts see no cookie"
        assert await shown.tab.locator("#cancel").is_hidden()
        assert await shown.tab.locator("#rest").is_hidden()
        assert await shown.tab.locator("#new-task").is_hidden()
        await shown.tab.reload()
        await shown.says("#task-title", "waits")
        assert shown.faults == []


async def test_what_devices_say_stays_text(stage: PageStage) -> None:
    await stage.agents(4, HOSTILE[:64])
    task = await stage.aggregator.submit(toy_config(), Cohort(4, 4), name=HOSTILE[:64])
    await task.result()
    async with window(stage.page.url) as shown:
        await shown.sign_in(stage.page.url, stage.viewer_token)
        await shown.says("#devices b", "<img src=x")
        await shown.says("#task-title", "<img src=x")
        await shown.says("#tasks b", "<img src=x")
        await shown.tab.get_by_text("As a table").click()
        assert await shown.tab.evaluate(MARKS) == 0
        assert shown.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    stage: PageStage, scheme: str
) -> None:
    await stage.agents(4, "a device with a name that is as long as a name may be, and no break")
    name = "a_run_whose_name_cannot_be_broken_anywhere_and_is_as_long_as_it_"
    task = await stage.aggregator.submit(toy_config(rounds=4), Cohort(4, 4), name=name)
    await task.result()
    dark = scheme == "dark"
    async with window(stage.page.url, PHONE, "dark" if dark else "light", still=True) as shown:
        tab = shown.tab
        await tab.goto(stage.page.url)
        assert await tab.evaluate(OUTSIDE) == []
        await shown.sign_in(stage.page.url, stage.operator_token)
        await shown.says("#task-phase", "done")
        await shown.until("document.querySelector('#accuracy canvas') !== null")
        await tab.get_by_text("As a table").click()
        assert await tab.evaluate(OUTSIDE) == []
        await tab.get_by_role("button", name="New task").click()
        await tab.locator("#form").wait_for(state="visible")
        assert await tab.evaluate(OUTSIDE) == []
        await tab.keyboard.press("Escape")
        moving = "getComputedStyle(document.querySelector('#pulse'), '::before').animationName"
        assert await tab.evaluate(moving) == "none", "reduced motion is kept to"

        paper = "getComputedStyle(document.body).backgroundColor"
        before = await tab.evaluate(paper)
        assert (sum(json.loads(f"[{before[4:-1]}]")) < 200) == dark
        await tab.get_by_role("button", name="Change between light and dark").click()
        after = await tab.evaluate(paper)
        assert after != before
        await tab.reload()
        await tab.locator("#page").wait_for(state="visible")
        assert await tab.evaluate(paper) == after, "the choice is kept"
        assert shown.faults == []


async def test_it_can_be_used_by_keyboard_and_read_aloud(stage: PageStage) -> None:
    await stage.agents(4)
    task = await stage.aggregator.submit(toy_config(), Cohort(4, 4), name="read")
    await task.result()
    async with window(stage.page.url) as shown:
        tab = shown.tab
        await tab.goto(stage.page.url)
        await shown.until("document.activeElement.id === 'token'")  # the page puts it there
        await tab.keyboard.type(stage.operator_token)
        await tab.keyboard.press("Enter")
        await shown.says("#task-title", "read")
        await tab.locator("#tasks button").focus()
        await tab.keyboard.press("Enter")
        await tab.locator("#new-task").focus()
        await tab.keyboard.press("Enter")
        await tab.locator("#form").wait_for(state="visible")
        await tab.keyboard.press("Escape")
        assert await tab.locator("#form").is_hidden()
        unnamed = await tab.evaluate(UNNAMED)
        assert unnamed == []
        for theme in ("light", "dark"):
            await tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            assert await tab.evaluate(FAINT) == [], theme
        assert shown.faults == []


OUTSIDE = """document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll('*')]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 120))"""

UNNAMED = """[...document.querySelectorAll(
  'button, input:not([hidden]), select, textarea, [role=img], section'
)].filter((element) => {
  const by = element.getAttribute('aria-labelledby');
  const text = element.tagName === 'BUTTON' && element.textContent.trim();
  const label = element.getAttribute('aria-label') || element.labels?.length;
  return element.checkVisibility() && !text && !label && !(by && document.getElementById(by));
}).map((element) => element.outerHTML)"""

# WCAG 2.1, 1.4.3: contrast of text to what is behind it, 4.5 to 1 at least.
FAINT = """(() => {
  const parts = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const behind = (element) => {
    for (let up = element; up; up = up.parentElement) {
      const colour = getComputedStyle(up).backgroundColor;
      const [r, g, b, a = 1] = parts(colour);
      if (colour.startsWith('rgb') && a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  for (const element of document.querySelectorAll('main *, header *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const { color } = getComputedStyle(element);
    if (!own || !element.checkVisibility() || !color.startsWith('rgb')) continue;
    const one = light(parts(color)), other = light(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) faint.push([element.outerHTML.slice(0, 120), ratio]);
  }
  return faint;
})()"""


async def test_dreams_are_shown_as_they_form(stage: PageStage) -> None:
    config = CodreamConfig(shape=(1, 6, 6), classes=3, cycles=2, dreams=6, dream_steps=3)
    task = await stage.aggregator.submit(config, Cohort(4, 4), name="dreaming")
    algorithm, crowd = Codream(config), Crowd(4, 4)
    state = algorithm.init(np.random.default_rng(0))
    state = algorithm.merge(state, {"counts": np.ones(3)}, crowd)
    state = algorithm.merge(state, {}, crowd)

    async def store(sums: int) -> None:
        """Put a state where the task's own rounds would."""
        entry = stage.aggregator.board.entry(task.id)
        status = replace(entry.status, aggregations=sums, phase=TaskPhase.RUNNING)
        forward = replace(entry.progress, status=status)
        await stage.aggregator.board.step(
            entry, lambda _: (forward, "round"), {"survivors": 4.0}, encode_state(state)
        )

    async with window(stage.page.url) as shown:
        await shown.sign_in(stage.page.url, stage.viewer_token)
        await shown.says("#task-title", "dreaming")
        assert await shown.tab.locator("#gallery").is_hidden(), "nothing is dreamt yet"
        await store(2)
        await shown.says("#gallery-note", "cycle 1, forming")
        first = await shown.tab.evaluate(PIXELS)
        rng = np.random.default_rng(1)
        mean = {
            "gradient": rng.normal(0, 1, (6, 1, 6, 6)),
            "mass": np.ones(3),
            "clipped": np.zeros(()),
        }
        state = algorithm.merge(state, mean, crowd)
        await store(3)
        await shown.until(f"JSON.stringify({PIXELS}) !== {json.dumps(json.dumps(first))}")
        tiles = shown.tab.get_by_role("img", name="Dream of class")
        assert await tiles.count() == 6
        assert shown.faults == []
    task.cancel()
    await asyncio.sleep(0)


PIXELS = """(() => {
  const copy = new OffscreenCanvas(6, 6).getContext('2d', { willReadFrequently: true });
  copy.drawImage(document.querySelector('#dreams canvas'), 0, 0);
  return [...copy.getImageData(0, 0, 6, 6).data].slice(0, 24);
})()"""
