"""The closing text and the files beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.ending import ending
from dreamshare_cli.demo.figures import result_json
from dreamshare_cli.demo.publish import Published, publish
from tests.unit.demo import made_up

PLACES = Published(
    Path("r.json"), Path("a.png"), (Path("m.png"), Path("d.png")), Path("report.html")
)


def test_it_tells_the_figures_the_disclosure_and_the_files() -> None:
    text = ending(made_up.result(4, lost=1), PLACES)
    for piece in (
        "mean", "69.0 %", "71.0 %", "79.0 %", "84.0 %", "+10.0", "+15.0", "killed on the way",
        "1 round", "5 cycles", "43 kB", "2.0 MB", "62 masked sums", "m.png",
        "confirmed by both sides", "The aggregator could see", "The aggregator could not see",
        "report.html", "a.png", "d.png", "r.json", "onnx",
    ):  # fmt: skip
        assert piece in text
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("name", ["moments", "codream"])
def test_one_algorithm_is_one_column(name: str) -> None:
    text = ending(made_up.result(names=(name,)), PLACES)
    (head,) = [line for line in text.splitlines() if line.strip().startswith("alone")]
    assert len(head.split()) == 3


def test_it_does_not_call_secure_what_was_not_confirmed() -> None:
    text = ending(made_up.unconfirmed(made_up.result()), PLACES)
    assert "NOT CONFIRMED" in text
    assert "confirmed by both" not in text


def test_every_file_is_written(tmp_path: Path) -> None:
    result = made_up.result()
    published = publish(tmp_path, result, made_up.galleries(), "dreamshare demo")
    assert json.loads(published.result.read_text()) == json.loads(result_json(result))
    assert [path.name for path in published.galleries] == ["moments.png", "dreams.png"]
    for picture in (published.accuracy, *published.galleries):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert published.report.read_text().startswith("<!doctype html>")


def test_a_folder_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write to"):
        publish(tmp_path / "gone", made_up.result(3, cycles=1), made_up.galleries(1, 1), "demo")
