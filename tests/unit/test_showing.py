"""Values in notebooks: short, and nothing of what others named is taken for HTML."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html.parser import HTMLParser

import numpy as np

from dreamshare.ids import PartyId
from dreamshare.protocol.messages import DeviceStatus, TaskReport
from dreamshare.results import Result
from dreamshare.showing import Rows, Shown, html_of, text_of
from tests.unit.client.test_command import RESULT, STATUS, TASK

EVIL = "<script>alert('x')</script>&\""


class Tags(HTMLParser):
    """Collects the tags of a page and checks that each one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(page: str) -> set[str]:
    found = Tags()
    found.feed(page)
    assert found.open == []
    return found.seen


def test_nothing_that_others_named_becomes_a_tag() -> None:
    evil = replace(STATUS, name=EVIL, detail=EVIL)
    device = DeviceStatus(PartyId(bytes(16)), EVIL, True, (EVIL,), 1, 2, {EVIL: EVIL})
    shown = [
        html_of(evil),
        html_of(TaskReport(1, evil, EVIL, {EVIL: 0.5})),
        html_of(Result(evil, {EVIL: np.zeros(3, np.float32)}, {EVIL: 1.0})),
        Rows([device, device])._repr_html_(),
        Rows([evil])._repr_html_(),
        Rows([EVIL])._repr_html_(),
    ]
    for page in shown:
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert tags(page) <= {"table", "thead", "tbody", "tr", "th", "td", "br"}


def test_a_result_names_its_arrays_and_prints_none_of_them() -> None:
    large = replace(RESULT, arrays={"dreams": np.zeros((500, 1, 28, 28), np.float32)})
    assert "dreams: <float32 (500, 1, 28, 28)>" in repr(large)
    assert len(repr(large)) < 1000
    assert "float32 (500, 1, 28, 28)" in large._repr_html_()


def test_a_status_is_one_line() -> None:
    told = repr(STATUS)
    assert told.startswith(f"TaskStatus(task={TASK.hex()}, name='', algorithm='toy/1', phase=done")
    assert "\n" not in told


def test_texts_of_the_other_kinds() -> None:
    assert text_of(bytes(5)) == "<5 bytes>"
    assert text_of(0.123456789) == "0.123457"
    assert text_of((1, "a")) == "(1, 'a')"
    assert text_of(None) == "None"
    assert Rows()._repr_html_() == "<p>none</p>"


@dataclass(frozen=True, repr=False)
class Nested(Shown):
    inner: object


def test_dataclasses_nest() -> None:
    assert repr(Nested(Nested(1))) == "Nested(inner=Nested(inner=1))"
    assert tags(html_of(Nested(Nested({"a": {"b": 1}})))) == {"table", "tbody", "tr", "th", "td"}
