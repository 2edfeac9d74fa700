"""Pictures, tables, windows and streams: read lazily, errors with their place."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.data_arrays import ArrayFile
from dreamshare.learning.data_images import ImageFolder
from dreamshare.learning.data_lazy import LazyData, Normalisation
from dreamshare.learning.data_stream import Example, StreamData
from dreamshare.learning.data_tables import CsvRows, CsvWindows, Window


def seen(data: Data, size: int, batches: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [b.x_NCHW for b in itertools.islice(data.batches(rng, size), batches)]


def photos(folder: Path, counts: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for each in range(count):
            colour = (40 * number, each, 255)
            Image.new("RGB", (10, 6), colour).save(folder / name / f"{each:03}.png")
        (folder / name / "notes.txt").write_text("no picture")
    return folder


def test_folders_of_pictures(tmp_path: Path) -> None:
    source = ImageFolder(photos(tmp_path, {"cat": 6, "dog": 4}), size=(3, 5))
    data = LazyData(source, Normalisation((0.0, 0.0, 0.5), (1.0, 1.0, 0.5)), held_out=0.2)
    assert source.classes == ("cat", "dog")
    assert len(data) == 8
    assert data.class_counts(2).sum() == 8
    held = data.held_out()
    assert held.x_NCHW.shape == (2, 3, 3, 5)
    assert held.x_NCHW.dtype == np.float32
    (batch,) = itertools.islice(data.batches(np.random.default_rng(0), 8), 1)
    assert batch.y_N is not None
    assert np.allclose(batch.x_NCHW[:, 2], 1.0), "blue: (1 - 0.5) / 0.5"
    assert np.allclose(batch.x_NCHW[:, 0, 0, 0], 40 * batch.y_N / 255, atol=1e-6)
    greens = {round(float(x[1, 0, 0]) * 255) for x in batch.x_NCHW}
    again = LazyData(source, held_out=0.2)
    assert np.array_equal(again.held_out().y_N, held.y_N), "the same ones at every start"
    assert len(greens) >= 4


def test_a_device_that_lacks_a_class_gives_the_names(tmp_path: Path) -> None:
    source = ImageFolder(photos(tmp_path, {"dog": 2}), (2, 2), 1, ("cat", "dog"))
    assert source.labels().tolist() == [1, 1]
    assert source.read(np.array([0])).shape == (1, 1, 2, 2)
    with pytest.raises(ConfigError, match="dog is none of the classes"):
        ImageFolder(tmp_path, (2, 2), 1, ("cat", "cow"))


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    photos(tmp_path, {"cat": 1})
    (tmp_path / "cat" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    source = ImageFolder(tmp_path, (2, 2))
    with pytest.raises(ConfigError, match=r"cat/torn\.jpg cannot be read"):
        source.read(np.array([1]))
    with pytest.raises(ConfigError, match="there is no folder"):
        ImageFolder(tmp_path / "nowhere", (2, 2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no pictures"):
        ImageFolder(tmp_path / "empty", (2, 2))


def table(path: Path, rows: int) -> Path:
    lines = [f"{n / 10},{-n},{'ab'[n // 7 % 2]},{'walk' if n % 3 else 'run'}" for n in range(rows)]
    path.write_text("x,y,who,what\n" + "\n".join(lines) + "\n\n")
    return path


def test_rows_of_a_table(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", 20)
    source = CsvRows(path, ("y", "x"), "what", ("walk", "run"), shape=(2, 1, 1))
    assert source.labels().tolist() == [0 if n % 3 else 1 for n in range(20)]
    found = source.read(np.array([4, 0])).reshape(2, 2)
    assert np.allclose(found, [[-4, 0.4], [0, 0]])
    data = LazyData(source, held_out=0.25)
    assert (len(data), len(data.held_out().x_NCHW)) == (15, 5)


def test_windows_of_a_series(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", 20)
    source = CsvWindows(path, ("x", "y"), "what", ("walk", "run"), Window(4, 2, "who"))
    firsts = [0, 2, 7, 9, 14, 16]  # groups of 7, 7 and 6 rows
    assert np.allclose(source.read(np.arange(6))[:, 1, 0], [-n for n in firsts])
    assert source.read(np.array([3])).shape == (1, 2, 4)
    assert source.labels().tolist() == [0 if (n + 3) % 3 else 1 for n in firsts]
    with pytest.raises(ConfigError, match="has no 30 rows in a row"):
        CsvWindows(path, ("x",), "what", ("walk", "run"), Window(30, 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,what\n1,a\nno,a\n", r"t\.csv, row 3: column 'x' holds no finite number"),
        ("x,what\n1,a\ninf,a\n", "row 3: column 'x' holds no finite"),
        ("x,what\n1,a,2\n", "row 2: it has 3 cells, the first line 2"),
        ('x,what\n"1,a\n', "row 2: it is not one line of CSV"),
        ("x,what\n1,c\n", r"row 2: 'c' is none of the classes \['a'\]"),
        ("z,what\n1,a\n", "there is no column 'x'"),
        ("x,what\n", "has no rows"),
    ],
)
def test_a_row_that_does_not_hold_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        CsvRows(path, ("x",), "what", ("a",))


def test_a_file_that_shrank_is_told(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", 5)
    source = CsvRows(path, ("x",), "what", ("walk", "run"))
    path.write_text("x\n")
    with pytest.raises(ConfigError, match="row 6: it is gone"):
        source.read(np.array([4]))


def test_a_long_table_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    wide = ",".join(["0.123456789"] * 40)
    with path.open("w") as file:
        file.write(",".join(f"c{n}" for n in range(40)) + ",what\n")
        file.writelines(f"{wide},a\n" for _ in range(20_000))  # 10 MB
    tracemalloc.start()
    data = LazyData(CsvRows(path, [f"c{n}" for n in range(40)], "what", ("a",)))
    seen(data, 32, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000, peak


def test_anything_that_can_be_gone_through_again() -> None:
    passes = []

    def examples() -> Iterator[Example]:
        passes.append(1)
        return ((np.full((1, 2), n, np.float32), n % 3) for n in range(50))

    data = StreamData(examples, (1, 2), buffer=8, held_out_every=5)
    assert (len(data), len(data.held_out().x_NCHW)) == (40, 10)
    assert data.class_counts(3).sum() == 40
    first = np.concatenate([x[:, 0, 0] for x in seen(data, 16, 3)])
    assert sorted(first) == [n for n in range(50) if n % 5 != 4]
    assert list(first) != sorted(first)
    assert np.array_equal(first, np.concatenate([x[:, 0, 0] for x in seen(data, 16, 3)]))
    assert len(passes) == 3


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([], "there are no examples"),
        ([(np.zeros((2, 2), np.float32), 0)], r"example 0 has shape \(2, 2\)"),
        ([(np.zeros((1, 2), np.float32), -1)], "example 0 is of the class -1"),
        ([(np.full((1, 2), np.nan, np.float32), 0)], "not finite"),
    ],
)
def test_a_stream_is_checked(examples: list[Example], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StreamData(lambda: examples, (1, 2))


def test_a_stream_that_gives_others_the_second_time() -> None:
    both = iter([[(np.zeros(1, np.float32), 0)] * 9, [(np.zeros(1, np.float32), 0)] * 5])
    data = StreamData(lambda: next(both), (1,), held_out_every=0)
    with pytest.raises(ConfigError, match="a pass gave 5 examples, the first one 9"):
        seen(data, 4, 9)


def test_normalisation_is_checked() -> None:
    with pytest.raises(ConfigError, match="1 means and 2 standard"):
        Normalisation((0.0,), (1.0, 1.0))
    with pytest.raises(ConfigError, match="above 0"):
        Normalisation((0.0,), (0.0,))
    with pytest.raises(ConfigError, match="normalisation 1 channels"):
        Normalisation((0.0,), (1.0,)).apply(np.zeros((2, 3, 4, 4), np.float32))
    with pytest.raises(ConfigError, match="held_out is 1"):
        LazyData(_Nothing(), held_out=1.0)


class _Nothing:
    def labels(self) -> np.ndarray:
        return np.zeros(0, np.int64)

    def read(self, places: np.ndarray) -> np.ndarray:
        raise AssertionError


def test_files_of_arrays(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=np.array([0, 1, 2, 0, 1, 2], np.int32))
    source = ArrayFile(tmp_path / "a.npz")
    assert source.labels().dtype == np.int64
    found = source.read(np.array([5, 0]))
    assert found.dtype == np.float32
    assert found[:, 0, 1, 1].tolist() == [23.0, 3.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((2, 3))}, r"it lacks \['y'\]"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, np.int64)}, "2 whole numbers are wanted"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2)}, "y has shape .* of float64"),
        ({"x": np.zeros(2), "y": np.zeros(2, np.int64)}, "x has shape"),
        ({"x": np.zeros(()), "y": np.zeros(1, np.int64)}, "x has shape"),
        ({"x": np.array([[np.nan], [0.0]]), "y": np.zeros(2, np.int64)}, "not finite"),
        ({"x": np.array([["a"], ["b"]]), "y": np.zeros(2, np.int64)}, "give numbers"),
        ({"x": np.array([[None], [0]]), "y": np.zeros(2, np.int64)}, "no file of arrays"),
    ],
)
def test_files_of_arrays_that_do_not_hold(
    tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **content)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        ArrayFile(tmp_path / "a.npz")


@pytest.mark.parametrize("raw", [b"", b"nothing", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_file_of_arrays(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(ConfigError, match="no file of arrays"):
        ArrayFile(tmp_path / "a.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="it is one array"):
        ArrayFile(tmp_path / "one.npy")
    with pytest.raises(ConfigError, match="there is no file"):
        ArrayFile(tmp_path / "none.npz")


def test_what_is_held_out_is_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamshare.learning.data_lazy.MOST_HELD_OUT_BYTES", 50)
    np.savez(tmp_path / "a.npz", x=np.zeros((40, 1, 2, 2)), y=np.zeros(40, np.int64))
    assert len(LazyData(ArrayFile(tmp_path / "a.npz"), held_out=0.5).held_out().x_NCHW) == 3
    stream = StreamData(lambda: ((np.zeros(4, np.float32), 0) for _ in range(40)), (4,))
    assert len(stream.held_out().x_NCHW) == 3
