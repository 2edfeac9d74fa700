"""Where the page may be served: off by default, and never in the clear beyond this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_aggregator.config import AggregatorConfig, load_config
from dreamshare_aggregator.web.settings import WebConfig


def test_the_page_is_off_unless_it_is_wanted() -> None:
    assert AggregatorConfig().web.listen is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('listen = "ftp://127.0.0.1:1"', "write http://host:port"),
        ('listen = "http://127.0.0.1"', "needs a port"),
        ('listen = "http://127.0.0.1:70000"', "needs a port"),
        ('listen = "http://127.0.0.1:1/x"', "write http://host:port"),
        ('listen = "https://127.0.0.1:1"', "give web.certificate"),
        ('listen = "http://127.0.0.1:1"\ncertificate = "a"', "are for https"),
        ('listen = "http://10.0.0.1:80"', "tokens would travel"),
        ('listen = "http://0.0.0.0:80"', "tokens would travel"),
        ('listen = "http://0.0.0.0:80"\nbehind_proxy = true', "web.hosts is empty"),
        (
            'listen = "http://0.0.0.0:80"\nbehind_proxy = true\nopen = true\nhosts = ["a"]',
            "web.open needs a loopback address",
        ),
    ],
)
def test_what_would_be_unsafe_or_senseless_is_refused(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "aggregator.toml"
    path.write_text(f"[web]\n{text}\n")
    with pytest.raises(ConfigError, match=fault):
        load_config(path)


def test_paths_are_taken_from_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "aggregator.toml"
    path.write_text('[web]\nlisten = "http://127.0.0.1:0"\noperator_token = "op"\n')
    web = load_config(path).web
    assert web.viewer_token == tmp_path / "web-viewer.token"
    assert web.operator_token == tmp_path / "op"
    assert not web.secure


def test_names_that_may_be_called() -> None:
    here = WebConfig(listen="http://127.0.0.1:0")
    assert here.called == {"127.0.0.1", "localhost", "[::1]"}
    away = WebConfig(listen="http://0.0.0.0:80", behind_proxy=True, hosts=("dreams.example",))
    assert away.called == {"dreams.example"}
    assert away.secure
