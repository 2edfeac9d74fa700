"""A demo's result as the JSON object that `--json` prints and `result.json` holds.

Rules:
- every key of the first release is there and means what it meant: rounds, sums and bytes outside
  `algorithms`, and each device's, are CoDream's where it ran, else those of the algorithm that did;
- `algorithms` has the figures of each one that ran; means of those that did not are null;
- accuracies are percent with two decimals.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.result import ClientResult, DemoResult, Part, RunResult

NAMED_FIRST = AlgorithmChoice.CODREAM.value


def result_json(result: DemoResult, indent: int | None = None) -> str:
    """Return one JSON object; raises ConfigError where a survivor lacks a figure."""
    ran = {run.name for run in result.runs}
    named = next((run for run in result.runs if run.name == NAMED_FIRST), result.runs[0])
    names = [choice.value for choice in AlgorithmChoice if choice is not AlgorithmChoice.ALL]
    body = {
        "mean_independent": _short(result.mean_independent),
        "mean_balanced": _short(result.mean_balanced),
        **{f"mean_{n}": _short(result.mean(n)) if n in ran else None for n in names},
        "mean_before": _short(result.mean_before(named.name)),
        "rounds": named.rounds,
        "aggregations": named.aggregations,
        "abandoned": named.abandoned,
        "dropped": result.dropped,
        "bytes_up_per_client": result.bytes_up(named.name),
        "bytes_down_per_client": result.bytes_down(named.name),
        "seconds": round(result.seconds, 1),
        "secure_aggregation": result.secure_aggregation,
        "runtime": result.runtime,
        "seed": result.seed,
        "devices": len(result.clients),
        "test_examples": result.test_examples,
        "out": result.out,
        "algorithms": {run.name: _run(result, run) for run in result.runs},
        "clients": [_client(c, names, named.name) for c in result.clients],
    }
    return json.dumps(body, indent=indent, allow_nan=False)


def _run(result: DemoResult, run: RunResult) -> dict[str, object]:
    return {
        "mean": _short(result.mean(run.name)),
        "rounds": run.rounds,
        "aggregations": run.aggregations,
        "abandoned": run.abandoned,
        "dropped": run.dropped,
        "bytes_up_per_client": result.bytes_up(run.name),
        "bytes_down_per_client": result.bytes_down(run.name),
        "seconds": round(run.seconds, 1),
        "secure_aggregation": run.secure_aggregation,
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _client(c: ClientResult, names: Sequence[str], named: str) -> dict[str, object]:
    own = c.part(named)
    return {
        "id": c.id,
        "name": c.name,
        "architecture": c.architecture,
        "runtime": c.runtime,
        "examples": c.examples,
        "parameters": c.parameters,
        "before": _short(own.curve[0] if own.curve else None),
        "independent": _short(c.independent),
        "balanced": _short(c.balanced),
        **{name: _short(c.reached(name)) for name in names},
        "curve": [round(v, 2) for v in own.curve],
        "independent_curve": [round(v, 2) for v in c.independent_curve],
        "balanced_curve": [round(v, 2) for v in c.balanced_curve],
        "alive": c.alive,
        "bytes_up": own.bytes_up,
        "bytes_down": own.bytes_down,
        "sums": own.sums,
        "algorithms": {name: _part(part) for name, part in c.parts.items()},
    }


def _part(part: Part) -> dict[str, object]:
    return {
        "curve": [round(v, 2) for v in part.curve],
        "bytes_up": part.bytes_up,
        "bytes_down": part.bytes_down,
        "sums": part.sums,
    }
