"""How `dreamshare up` lets itself be watched: logs, metrics, spans, and the live page.

Rules:
- a development federation has the page on loopback, at `DEFAULT_PAGE` where that is free; a
  settings file says itself what it wants;
- a token is shown when it is made, on a terminal, and never again: what is printed elsewhere ends
  in logs, so there the token's file is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_aggregator.telemetry.exporting import tracer_to
from dreamshare_aggregator.telemetry.sight import Sight
from dreamshare_aggregator.web.access import Rank, Token
from dreamshare_aggregator.web.server import open_page
from dreamshare_aggregator.web.settings import WebConfig
from dreamshare_cli.federation import FederationFolder

DEFAULT_PAGE = "http://127.0.0.1:7480"


@dataclass(frozen=True, slots=True)
class Shown:
    """The page, as `up` tells of it; `url` is "" where there is none."""

    config: WebConfig
    url: str = ""
    tokens: tuple[Token, ...] = ()

    def lines(self, *, on_terminal: bool) -> list[str]:
        """Return what people read."""
        if not self.url:
            return []
        best = max(self.tokens, key=lambda token: token.rank)
        if best.made and on_terminal:
            return [f"watch it live:   {self.url}/#token={best.text}", "  (shown this once)"]
        config = self.config
        where = config.operator_token if best.rank is Rank.OPERATOR else config.viewer_token
        return [f"watch it live:   {self.url}  (sign in with the token in {where})"]

    def fields(self) -> Mapping[str, object] | None:
        """Return what programs read; None where there is no page."""
        if not self.url:
            return None
        acts = self.config.operator_token
        return {
            "url": self.url,
            "viewer_token": str(self.config.viewer_token),
            "operator_token": None if acts is None else str(acts),
        }


def development_page(folder: FederationFolder) -> WebConfig:
    """Return the page's settings for a development federation."""
    return WebConfig(
        listen=DEFAULT_PAGE,
        viewer_token=folder.folder / "web-viewer.token",
        operator_token=folder.folder / "web-operator.token",
        open_metrics=True,
    )


@contextmanager
def sight_of(config: AggregatorConfig) -> Iterator[Sight]:
    """Give what watches an aggregator; raises ConfigError where spans cannot be exported."""
    if config.otlp_endpoint is None:
        yield Sight(SystemClock())
        return
    with tracer_to(config.otlp_endpoint) as tracer:
        sight = Sight(SystemClock(), tracer)
        try:
            yield sight
        finally:
            sight.close()


@asynccontextmanager
async def page_of(
    config: WebConfig, aggregator: Aggregator, sight: Sight, around: Surroundings
) -> AsyncIterator[Shown]:
    """Serve the page of an open aggregator, if one is wanted; raises ConfigError."""
    sight.reads(aggregator)
    if config.listen is None:
        yield Shown(config)
        return
    opening = open_page(config, aggregator, sight, around.lookup, around.clock, around.entropy)
    try:
        page = await opening.__aenter__()
    except ConfigError:
        if config.listen != DEFAULT_PAGE:
            raise
        anywhere = dataclasses.replace(config, listen="http://127.0.0.1:0")  # the port is taken
        opening = open_page(
            anywhere, aggregator, sight, around.lookup, around.clock, around.entropy
        )
        page = await opening.__aenter__()
    try:
        yield Shown(config, page.url, page.tokens)
    finally:
        await opening.__aexit__(None, None, None)
