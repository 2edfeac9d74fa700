"""A result and dreams that no run produced: material for the tests of the report."""

from __future__ import annotations

import numpy as np

from dreamshare.payloads.gallery import Gallery
from dreamshare_cli.demo.result import ClientResult, DemoResult

KINDS = ("VGG-like", "ResNet-like", "WideResNet-like", "MobileNet-like")


def client(
    number: int, *, alive: bool = True, cycles: int = 5, start: float = 60.0
) -> ClientResult:
    """Return a device that climbs from `start` by three points a cycle, one a cycle when alone."""
    reached = cycles if alive else 2
    return ClientResult(
        id=f"{number:032x}",
        name=f"device-{number}",
        architecture=KINDS[(number - 1) % len(KINDS)],
        runtime="onnx",
        examples=300 + number,
        tested=500,
        parameters=11_000 * number,
        before=start,
        independent=start + cycles if alive else None,
        balanced=start + cycles + 2.0 if alive else None,
        codream=start + 3.0 * reached,
        curve=tuple(start + 3.0 * c for c in range(reached + 1)),
        independent_curve=tuple(start + 1.0 * c for c in range(reached + 1)),
        balanced_curve=tuple(start + 2.0 + 1.0 * c for c in range(reached + 1)),
        alive=alive,
        bytes_up=2_000_000 + number,
        bytes_down=4_000_000 + number,
        sums=60,
    )


def result(devices: int = 4, *, lost: int = 0, cycles: int = 5) -> DemoResult:
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
    return DemoResult(
        clients=clients,
        rounds=cycles,
        aggregations=60,
        abandoned=lost,
        dropped=lost,
        seconds=61.25,
        secure_aggregation=True,
        runtime="onnx",
        seed=0,
        out="demo-made-up",
    )


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
