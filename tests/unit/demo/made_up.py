"""A result and dreams that no run produced: material for the tests of the report."""

from __future__ import annotations

import dataclasses

import numpy as np

from dreamshare.payloads.gallery import Gallery
from dreamshare_cli.demo.result import ClientResult, DemoResult, Part, RunResult

KINDS = ("VGG-like", "ResNet-like", "WideResNet-like", "MobileNet-like")


def client(
    number: int, *, alive: bool = True, cycles: int = 5, start: float = 60.0
) -> ClientResult:
    """Return a device that climbs from `start` by one point a cycle when alone, by three with
    dreams, and by four with moments, in one round; a killed one died in its third cycle."""
    reached = cycles if alive else 2
    moments = Part((start, start + 4.0 * cycles), 43_000 + number, 96_000 + number, 2, "done")
    dreams = Part(
        tuple(start + 3.0 * c for c in range(reached + 1)),
        2_000_000 + number,
        4_000_000 + number,
        60,
        "done" if alive else "",
    )
    return ClientResult(
        id=f"{number:032x}",
        name=f"device-{number}",
        architecture=KINDS[(number - 1) % len(KINDS)],
        runtime="onnx",
        examples=300 + number,
        tested=500,
        parameters=11_000 * number,
        independent=start + cycles if alive else None,
        balanced=start + cycles + 2.0 if alive else None,
        independent_curve=tuple(start + 1.0 * c for c in range(reached + 1)),
        balanced_curve=tuple(start + 2.0 + 1.0 * c for c in range(reached + 1)),
        alive=alive,
        parts={"moments": moments, "codream": dreams},
    )


def run(name: str, cycles: int, lost: int = 0) -> RunResult:
    """Return the run of an algorithm as the aggregator tells it; devices are lost in dreams."""
    if name == "moments":
        return RunResult(name, (0, cycles), 1, 2, 0, 0, 9.5, True)
    return RunResult(name, tuple(range(cycles + 1)), cycles, 60, lost, lost, 40.25, True)


def result(
    devices: int = 4,
    *,
    lost: int = 0,
    cycles: int = 5,
    names: tuple[str, ...] = ("moments", "codream"),
) -> DemoResult:
    """Return a demo whose last `lost` devices were killed."""
    clients = tuple(
        client(
            n,
            alive=n <= devices - lost,
            cycles=cycles,
            start=52.0 + 6.0 * n / devices * 4,
        )
        for n in range(1, devices + 1)
    )
    clients = tuple(
        dataclasses.replace(c, parts={name: c.parts[name] for name in names}) for c in clients
    )
    return DemoResult(
        clients=clients,
        runs=tuple(run(name, cycles, lost) for name in names),
        seconds=61.25,
        runtime="onnx",
        seed=0,
        out="demo-made-up",
    )


def reaching(client: ClientResult, **accuracies: float) -> ClientResult:
    """Return a device whose last accuracies in the named algorithms are these."""
    changed = {
        name: dataclasses.replace(client.part(name), curve=(*client.part(name).curve[:-1], value))
        for name, value in accuracies.items()
    }
    return dataclasses.replace(client, parts={**client.parts, **changed})


def unconfirmed(result: DemoResult) -> DemoResult:
    """Return a result one of whose runs is not confirmed."""
    last = dataclasses.replace(result.runs[-1], secure_aggregation=False)
    return dataclasses.replace(result, runs=(*result.runs[:-1], last))


def galleries(cycles: int = 5, per_class: int = 2) -> dict[str, Gallery]:
    """Return pictures for each algorithm."""
    made = gallery(cycles, per_class)
    return {"moments": made, "codream": made}


def gallery(cycles: int = 5, per_class: int = 2) -> Gallery:
    """Return (10 * cycles * per_class) dreams of 8x8: a dot whose place tells the digit."""
    rng = np.random.default_rng(0)
    labels, when = [], []
    for cycle in range(1, cycles + 1):
        for place in range(10 * per_class):
            labels.append(place % 10)
            when.append(cycle)
    y, x = np.mgrid[0:8, 0:8]
    turn = 2 * np.pi * np.asarray(labels)[:, None, None] / 10
    spot = np.exp(-((x - 3.5 - 2.2 * np.cos(turn)) ** 2 + (y - 3.5 - 2.2 * np.sin(turn)) ** 2) / 3)
    dreams = (3 * spot - 1 + 0.3 * rng.standard_normal(spot.shape))[:, None].astype(np.float32)
    return Gallery(dreams, np.asarray(labels, np.int64), np.asarray(when, np.int64))
