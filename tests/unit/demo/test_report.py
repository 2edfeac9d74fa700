"""The report stands alone, is valid, and says what the run said."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser

import pytest

from dreamshare_cli.demo.disclosure import disclose
from dreamshare_cli.demo.palette import DARK, LIGHT
from dreamshare_cli.demo.report import Pictures, Variants, gain_text, megabytes, report_html
from dreamshare_cli.demo.result import DemoResult
from tests.unit.demo import made_up


def variants(name: str) -> Variants:
    return Variants(*(f"{name} {n}".encode() for n in range(4)))


PICTURES = Pictures(
    variants("accuracy"), {"moments": variants("moments"), "codream": variants("dreams")}
)
VOID = {"meta", "img", "source", "br"}


class Reader(HTMLParser):
    """Collects text and attributes; knows whether every element was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def read(result: DemoResult) -> tuple[str, Reader]:
    html = report_html(result, PICTURES, "dreamshare demo --seed 0")
    reader = Reader()
    reader.feed(html)
    reader.close()
    return html, reader


def test_every_element_is_closed() -> None:
    assert read(made_up.result(5, lost=1))[1].open == []


def test_nothing_is_fetched_from_anywhere() -> None:
    html, reader = read(made_up.result())
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", html)
    sources = [v for _, name, v in reader.attributes if name in ("src", "srcset", "href")]
    assert len(sources) == 12
    assert all(v.startswith("data:image/png;base64,") for v in sources)
    assert "default-src 'none'" in html


def test_every_variant_of_every_picture_is_embedded() -> None:
    html, _ = read(made_up.result())
    for each in (PICTURES.accuracy, *PICTURES.galleries.values()):
        for png in dataclasses.astuple(each):
            assert base64.b64encode(png).decode() in html


def test_an_algorithm_that_was_not_run_is_not_shown() -> None:
    html, reader = read(made_up.result(names=("moments",)))
    assert reader.open == []
    assert "sharing dreams" not in reader.text
    assert "What they dreamt" not in reader.text
    assert base64.b64encode(PICTURES.galleries["codream"].light).decode() not in html


def test_the_first_matching_source_wins_so_the_narrow_dark_one_comes_first() -> None:
    _, reader = read(made_up.result())
    media = [v for tag, name, v in reader.attributes if tag == "source" and name == "media"]
    assert media[0] == "(max-width: 640px) and (prefers-color-scheme: dark)"
    assert media.index("(max-width: 640px)") < media.index("(prefers-color-scheme: dark)")


def test_figures_and_disclosure_are_told() -> None:
    result = made_up.result(4, lost=1)
    text = " ".join(read(result)[1].text.split())
    for figure in (
        "69.0 %", "71.0 %", "79.0 %", "84.0 %", "60 opened, 1 given up", "2 opened, 0 given up",
        "4 started, 1 lost", "1 round", "5 cycles", "43 kB", "2.0 MB",
    ):  # fmt: skip
        assert figure in text
    told = disclose(result)
    for sentence in (*told.seen, *told.unseen, *told.limits):
        assert sentence in text
    assert "3 devices are 15.0 points better sharing moments than alone" in text
    told = "the difference is +13.0 points sharing moments and +8.0 points sharing dreams"
    assert told in text
    assert "1 was killed on the way" in text


def test_what_devices_computed_with_is_told() -> None:
    same = made_up.result()
    assert "onnxruntime, no PyTorch" in read(same)[1].text
    first = dataclasses.replace(same.clients[0], runtime="torch")
    mixed = dataclasses.replace(same, clients=(first, *same.clients[1:]), runtime="mixed")
    assert "3 with onnxruntime, no PyTorch; 1 with PyTorch" in read(mixed)[1].text


def test_a_loss_is_not_told_as_a_gain() -> None:
    worse = tuple(
        made_up.reaching(c, codream=(c.independent or 0) - 2, moments=(c.independent or 0) - 3)
        for c in made_up.result().clients
    )
    text = read(dataclasses.replace(made_up.result(), clients=worse))[1].text
    assert "Sharing dreams did not help these 4 devices: \N{MINUS SIGN}2.0 points" in text
    assert "better" not in text
    # 2 below alone, and the histogram alone brings 2 more.
    assert "\N{MINUS SIGN}4.0 points sharing dreams" in " ".join(text.split())


def test_an_unconfirmed_session_is_not_told_as_secure() -> None:
    html, _ = read(made_up.unconfirmed(made_up.result()))
    assert "not confirmed" in html
    assert 'class="yes"' not in html


def test_what_came_from_the_run_is_escaped() -> None:
    evil = dataclasses.replace(made_up.result().clients[0], architecture="<b>&net")
    result = dataclasses.replace(made_up.result(), clients=(evil, *made_up.result().clients[1:]))
    html, _ = read(result)
    assert "&lt;b&gt;&amp;net" in html
    assert "<b>&net" not in html


def test_dots_stay_on_their_line() -> None:
    alone = dataclasses.replace(made_up.result().clients[0], independent=0.0)
    extreme = made_up.reaching(alone, codream=100.0)
    result = dataclasses.replace(made_up.result(), clients=(extreme, *made_up.result().clients[1:]))
    html, _ = read(result)
    places = [float(x) for x in re.findall(r"left:([-\d.]+)%", html)]
    assert min(places) == 0.0
    assert max(places) == 100.0


def test_the_sheet_uses_the_colours_of_the_pictures() -> None:
    html, _ = read(made_up.result())
    for palette in (LIGHT, DARK):
        for field in dataclasses.fields(palette):
            assert f"--{field.name}: {getattr(palette, field.name)};" in html


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_150_000, "2.1 MB")]
)
def test_bytes_are_told_shortly(count: int, text: str) -> None:
    assert megabytes(count) == text


def test_points_carry_their_sign() -> None:
    assert (gain_text(3.04), gain_text(-1.26)) == ("+3.0", "\N{MINUS SIGN}1.3")


def test_the_least_crowd_is_what_the_survivors_were() -> None:
    for place in (1, 2):
        assert "each over 3 devices or more:" in disclose(made_up.result(4, lost=1)).seen[place]
        assert "each over 4 devices:" in disclose(made_up.result(4)).seen[place]
