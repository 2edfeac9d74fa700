"""The page's news: one line for all readers, bounded, and nothing missed unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from dreamshare_aggregator.web.feed import Feed


def numbers(feed: Feed, after: int) -> list[int] | None:
    items = feed.after(after)
    return None if items is None else [item.number for item in items]


def test_a_reader_gets_what_came_after_its_place() -> None:
    feed = Feed(birth=7)
    for text in "abc":
        feed.put("x", text)
    assert numbers(feed, 0) == [1, 2, 3]
    assert numbers(feed, 2) == [3]
    assert numbers(feed, 3) == []
    assert feed.name(3) == "7-3"


def test_a_reader_that_fell_behind_is_told_to_begin_anew() -> None:
    feed = Feed(birth=7, most=4)
    for _ in range(10):
        feed.put("x", "{}")
    assert numbers(feed, 6) == [7, 8, 9, 10]
    assert numbers(feed, 5) is None  # item 6 is gone


@pytest.mark.parametrize(
    "name", ["", "7", "7-", "7-x", "8-1", "7-4", "-1", "7--1", "7-²", "7-" + "9" * 400]
)
def test_a_place_of_another_life_or_none_is_none(name: str) -> None:
    feed = Feed(birth=7)
    for _ in range(3):
        feed.put("x", "{}")
    assert feed.place(name) is None
    assert feed.place("7-3") == 3


async def test_a_reader_waits_for_news_and_for_the_end() -> None:
    feed = Feed(birth=1)
    waiting = asyncio.create_task(feed.wait(0, 60))
    await asyncio.sleep(0)
    feed.put("x", "{}")
    await waiting
    await feed.wait(0, 60)  # there is news already
    closing = asyncio.create_task(feed.wait(1, 60))
    await asyncio.sleep(0)
    feed.close()
    await closing
    await feed.wait(1, 60)
    assert feed.closed


async def test_a_reader_that_waits_long_enough_is_let_go() -> None:
    await Feed(birth=1).wait(0, 0.0)
