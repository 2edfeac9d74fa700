"""Settings files: types, hints, tables, and the commented default that reads back as itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.settings import Scalar, default_text, load_settings, read_settings, setting


@dataclass(frozen=True, slots=True)
class Inner:
    share: float = setting("Part of the whole, 0 to 1.", default=0.5)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share {self.share} must be 0 to 1")


@dataclass(frozen=True, slots=True)
class Outer:
    rounds: int = setting("Rounds, 1 or more.", default=3)
    name: str = setting("A name.", default='a "quoted" \\ name')
    limit: int | None = setting("Absent: no limit.", default=None, example=400)
    where: Path = setting("A folder.", default=Path("state"))
    kinds: tuple[str, ...] = setting("Kinds.", default=("a", "b"))
    loud: bool = setting("Say more.", default=False)
    inner: Inner = setting("A table.", default=Inner())
    free: Mapping[str, Scalar] = setting("Anything.", default={"seed": 1})


def read(text: str) -> Outer:
    return read_settings(Outer, text, source="outer.toml")


def test_every_type_is_read() -> None:
    got = read(
        'rounds = 9\nname = "n"\nlimit = 2\nwhere = "x/y"\nkinds = ["c"]\nloud = true\n'
        '[inner]\nshare = 1\n[free]\nfactor = 0.5\nlabel = "z"\n'
    )
    assert got == Outer(
        9, "n", 2, Path("x/y"), ("c",), True, Inner(1.0), {"factor": 0.5, "label": "z"}
    )


def test_an_empty_file_is_the_default() -> None:
    assert read("") == Outer()


def test_the_commented_default_reads_back_as_the_default_and_documents_every_key() -> None:
    text = default_text(Outer)
    assert read(text) == Outer()
    assert "# Rounds, 1 or more.\nrounds = 3" in text
    assert "# limit = 400" in text
    assert "[inner]" in text and "# Part of the whole, 0 to 1." in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("round = 1", "outer.toml: unknown key 'round'; did you mean 'rounds'?"),
        ("[inner]\nshar = 1.0", "unknown key 'inner.shar'; did you mean 'inner.share'?"),
        ("zzzzz = 1", "known keys here: free, inner, kinds"),
        ('rounds = "3"', "'rounds' is '3'; a whole number was expected"),
        ("rounds = true", "'rounds' is True; a whole number was expected"),
        ("rounds = 3.5", "'rounds' is 3.5; a whole number was expected"),
        ("loud = 1", "'loud' is 1; true or false was expected"),
        ("kinds = 'a'", "'kinds' is a list"),
        ("kinds = [1]", "'kinds[0]' is 1; a string was expected"),
        ("inner = 4", "'inner' is a table; write it as [inner]"),
        ("[inner]\nshare = 2.0", "outer.toml: share 2.0 must be 0 to 1"),
        ("[free]\nbad = [1]", "'free.bad' must be a string, a number or true/false"),
        ("rounds = ", "outer.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        load_settings(Outer, tmp_path / "none.toml")
