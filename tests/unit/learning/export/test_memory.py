"""The estimate of a graph's memory, on graphs small enough to count."""

from __future__ import annotations

from dreamshare.learning.export.builder import Graph
from dreamshare.learning.export.memory import SLACK, Needed, needed


def test_values_live_from_their_node_to_their_last_reader() -> None:
    """x (N, 8) -> a = -x -> b = -a -> c = a + b -> y: a, b and c live at once, 3 * 32 bytes an
    example; nothing is larger, and nothing does not depend on the batch."""
    graph = Graph()
    x = graph.input("x", "float32", ("N", 8))
    a = graph.op("Neg", x)
    b = graph.op("Neg", a)
    content = graph.model({"y": (graph.op("Add", a, b), "float32", ("N", 8))})
    assert needed(content) == Needed(0, SLACK * 3 * 32)


def test_what_does_not_depend_on_the_batch_is_fixed() -> None:
    """w (5, 5) twice negated and returned: two of 100 bytes, whatever the batch."""
    graph = Graph()
    graph.input("x", "float32", ("N", 8))
    w = graph.input("w", "float32", (5, 5))
    value = graph.op("Neg", graph.op("Neg", w))
    assert needed(graph.model({"v": (value, "float32", (5, 5))})) == Needed(SLACK * 200, 0)


def test_a_convolution_unfolds_one_example() -> None:
    """(N, 2, 6, 6) * (4, 2, 3, 3) -> (N, 4, 4, 4), 256 bytes an example; 2 * 3 * 3 * 16 floats
    of workspace. At its output's node the copy is alive, too: 2 * 256."""
    graph = Graph()
    x = graph.input("x", "float32", ("N", 2, 6, 6))
    w = graph.input("w", "float32", (4, 2, 3, 3))
    value = graph.op("Conv", x, w)
    found = needed(graph.model({"y": (value, "float32", ("N", 4, 4, 4))}))
    one, many = (found.fixed + n * found.example for n in (1, 513))
    assert one == SLACK * max(256 + 4 * 2 * 9 * 16, 2 * 256)
    assert many >= SLACK * 2 * 256 * 513
