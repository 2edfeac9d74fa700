"""Which event loop a command runs on, and what it says about it."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest

from dreamshare_cli import loops
from dreamshare_cli.loops import choose_loop


def test_uvloop_is_taken_where_it_is_installed() -> None:
    uvloop = import_module("uvloop")
    name, why, factory = choose_loop(uvloop_wanted=True)
    assert (name, why) == ("uvloop", "")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert isinstance(runner.get_loop(), uvloop.Loop)


def test_asyncio_serves_where_uvloop_is_not_wanted_or_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_loop(uvloop_wanted=False)[:2] == ("asyncio", "uvloop is switched off")
    monkeypatch.setattr(loops, "find_spec", lambda _name: None)
    name, why, factory = choose_loop(uvloop_wanted=True)
    assert (name, why) == ("asyncio", "uvloop is not installed")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(asyncio.sleep(0, "ran")) == "ran"
