"""Claim: a message under 400 kB is worth what the whole covariance is; or by how much it is not.

    python -m benchmarks.moments_size [--data fashion-mnist] [--alphas 0.5] [--seeds 20,21,22]
                                      [--samples 500] [--steps 150] [--set-alone]
                                      [--out moments_size.json]

Four devices of four architectures warm up once for each seed and alpha; from these weights they
learn from each of the sets in turn, with `moments/1`'s own mix and schedule. A form's set comes out
of masked sums (`dreamshare.simulate`), and its bytes are counted on the wire, set-up included.
"Whole" is the same draw from means and covariances of all values: exact, of the pooled examples
that devices may sum, where these are more than 1,024 (28 million numbers for colours, which nobody
would send). Beside it stands a net that sees the set alone; with --set-alone no devices
learn, which is quick. Docs: docs/algorithms/moments.md.

Rules: no setting is chosen by what is measured here; rows are written as they come, and rows that
lie in the file already are not measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Tell
from dreamshare.algorithms.moments import MomentsConfig, device, form_of
from dreamshare.algorithms.moments.forms import numbers_of
from dreamshare.algorithms.moments.synthesis import Pictures
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.guarding import guarded_counts
from dreamshare.learning.moments import Basis, Gaussians
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.passes import once
from dreamshare.payloads.pixels import packed, packed_labels
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, simulate
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.learners import STUDENT_PLACE, make_learner
from dreamshare_cli.bench.measuring import accuracy
from dreamshare_cli.bench.partitions import Dealt, deal
from dreamshare_cli.bench.recipe import DataPlan, DevicePlan, Partition
from tests.algorithms.toy import ToyLearner

Doubles = NDArray[np.float64]
WHOLE = "whole covariance"
STUDENT = "ResNet-like"
MOST_FORM = 1024
"""Values of which form "pixels" can send the whole covariance; above, it is computed here."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one set is worth: test accuracies (of devices, if they learnt), and what was sent."""

    data: str
    alpha: float
    seed: int
    what: str
    numbers: int
    up: int
    devices: float | None
    student: float

    @property
    def key(self) -> tuple[str, float, int, str]:
        return (self.data, self.alpha, self.seed, self.what)


@dataclass(frozen=True, slots=True)
class Case:
    """A deal, and the devices' weights after their warm-up."""

    config: MomentsConfig
    pool: Pool
    dealt: Dealt
    plan: DevicePlan
    warm: tuple[tuple[Learner, bytes], ...]


def forms_of(shape: tuple[int, int, int]) -> dict[str, dict[str, object]]:
    """Return the forms that are compared, by what they are called in the table."""
    forms: dict[str, dict[str, object]] = {"by rule, 14 bits": {}}
    if shape[0] == 1:
        forms["by rule, 12 bits"] = {"bits": 12}
        forms["dct 64, 14 bits"] = {"form": "dct", "components": 64}
    else:  # 92 stay under 400 kB at 3x32x32 with four devices; by rule 76 do with 64
        for each in (64, 92):
            forms[f"planes {each}, 14 bits"] = {"form": "planes", "components": each * shape[0]}
    return forms


def case_of(
    source: str, alpha: float, seed: int, samples: int, steps: int, set_alone: bool
) -> Case:
    """Return the devices of a seed, warmed up; no learners where the set alone is looked at."""
    data = DataPlan(source, samples=samples, validation=1000, test=2500)
    pool = load_pool(data)
    plan = DevicePlan()
    dealt = deal(pool, data, Partition("", "dirichlet", alpha), plan.count, seed)
    config = MomentsConfig(
        pool.shape, pool.labels, seed, pool.low, pool.high, told="set", fit_steps=steps
    )
    warm: list[tuple[Learner, bytes]] = []
    names = () if set_alone else plan.architectures
    for place, (name, own) in enumerate(zip(names, dealt.data, strict=False)):
        learner = make_learner(plan, name, pool.shape, pool.labels, seed, place)
        device.warm_up(config, learner, own, np.random.default_rng([seed, place]))
        warm.append((learner, learner.snapshot()))
    return Case(config, pool, dealt, plan, tuple(warm))


def masked(case: Case, changes: dict[str, object]) -> tuple[Pictures, Doubles, int, int]:
    """Return a form's set, how many examples it is of, its numbers, and most bytes of a device."""
    config = dataclasses.replace(case.config, **changes, warm_up_epochs=0, fit_steps=0)  # type: ignore[arg-type]
    devices = [SimulatedDevice(ToyLearner(i), own) for i, own in enumerate(case.dealt.data)]
    count = len(devices)
    result = simulate(config, devices, cohort=Cohort(count, count), seed=config.seed)
    images, labels = result.arrays["images"], result.arrays["labels"]
    made = Pictures(images.astype(np.uint8), labels.astype(np.int64), config.space)
    numbers = numbers_of(form_of(config), config.space.values, config.classes)
    up = max(status.bytes_up for status in result.statuses)
    return made, result.arrays["totals"].astype(np.float64), numbers, up


def whole(case: Case) -> tuple[Pictures, Doubles, int, int]:
    """Return the set that means and covariances of all values make.

    The covariances of classes lie in the span of the pooled examples, whose principal directions
    are therefore a basis that leaves nothing out.
    """
    c = case.config
    parts = [_summed(c, own) for own in case.dealt.data]
    u_ND, y_N = (np.concatenate(each) for each in zip(*parts, strict=True))
    totals_K = np.bincount(y_N, minlength=c.classes).astype(np.float64)
    totals_K = np.where(totals_K >= c.least_examples, totals_K, 0.0)
    present = np.flatnonzero(totals_K).tolist()
    mean_KD = np.stack([u_ND[y_N == k].mean(axis=0) if k in present else np.zeros(u_ND.shape[1])
                        for k in range(c.classes)])  # fmt: skip
    kept_N = totals_K[y_N] > 0
    within_ND = (u_ND - mean_KD[y_N])[kept_N]
    _, spread, vectors_BD = np.linalg.svd(within_ND, full_matrices=False)
    vectors_DB = np.ascontiguousarray(vectors_BD[spread > 1e-9 * spread[0]].T)
    parts_NB = within_ND @ vectors_DB
    pooled_BB = parts_NB.T @ parts_NB / len(parts_NB)
    images = np.zeros((c.images * len(present), *c.shape), np.uint8)
    for place, label in enumerate(present):
        own_NB, count = parts_NB[y_N[kept_N] == label], totals_K[label]
        shrunk_BB = (own_NB.T @ own_NB + c.shrinkage * pooled_BB) / (count + c.shrinkage)
        one = Gaussians(
            mean_KD[[label]], shrunk_BB[None], np.zeros(u_ND.shape[1]),
            Basis(vectors_DB, np.ones(vectors_DB.shape[1])), c.rectify,
        )  # fmt: skip
        drawn_ND = one.draw(0, c.images, c.seed * c.classes + label)
        images[place :: len(present)] = packed(c.space.inputs(drawn_ND), *c.space.ends)
    labels_M = np.tile(np.array(present, np.int64), c.images)
    values = c.space.values
    numbers = c.classes * (1 + values + values * (values + 1) // 2)
    return Pictures(images, labels_M, c.space), totals_K, numbers, 0


def _summed(config: MomentsConfig, own: object) -> tuple[Doubles, NDArray[np.int64]]:
    """Return the examples of a device that its sums have in them."""
    kept_K = guarded_counts(own, config.classes, config.max_examples) > 0  # type: ignore[arg-type]
    every = list(once(own, config.max_examples))  # type: ignore[arg-type]
    x_NCHW, y_N = (np.concatenate(each) for each in zip(*every, strict=True))
    return config.space.units(x_NCHW[kept_K[y_N]]), y_N[kept_K[y_N]]


def learnt(case: Case, made: Pictures, totals_K: Doubles) -> tuple[float | None, float]:
    """Return test accuracies: the devices' mean, and of a net that saw the set alone."""
    c = case.config
    labels = packed_labels(made.labels_M, c.classes)
    tell = Tell("learn", {"totals": totals_K, "images": made.bytes_MCHW, "labels": labels})
    found = []
    for place, ((learner, before), own) in enumerate(zip(case.warm, case.dealt.data, strict=False)):
        learner.restore(before)
        device.learn(c, tell, learner, own, np.random.default_rng([c.seed, place, 1]))
        found.append(accuracy(learner, case.dealt.test))
    pool = case.pool
    student = make_learner(case.plan, STUDENT, pool.shape, pool.labels, c.seed, STUDENT_PLACE)
    rng, x_MCHW = np.random.default_rng([c.seed, 2]), made.inputs()
    places = [rng.integers(0, len(made), c.batch) for _ in range(c.fit_steps)]
    steps = ((Batch(x_MCHW[each], made.labels_M[each]),) for each in places)
    objective = FitObjective(
        optimizer=c.optimizer, learning_rate=c.learning_rate, decay_steps=c.fit_steps
    )
    student.fit(steps, objective)
    reached = round(fmean(found), 6) if found else None
    return reached, accuracy(student, case.dealt.test)


def rows_of(
    source: str,
    alpha: float,
    seed: int,
    samples: int,
    steps: int,
    set_alone: bool,
    done: set[object],
) -> Iterator[Row]:
    """Measure what is not done yet."""
    shape = load_pool(DataPlan(source, validation=1, test=1)).shape
    wanted = [what for what in (WHOLE, *forms_of(shape)) if (source, alpha, seed, what) not in done]
    if not wanted:
        return
    case = case_of(source, alpha, seed, samples, steps, set_alone)
    for what in wanted:
        sent = case.config.space.values <= MOST_FORM
        if what == WHOLE and not sent:
            made, totals_K, numbers, up = whole(case)
        else:
            every: dict[str, dict[str, object]] = {WHOLE: {"form": "pixels"}, **forms_of(shape)}
            made, totals_K, numbers, up = masked(case, every[what])
        devices, student = learnt(case, made, totals_K)
        yield Row(source, alpha, seed, what, numbers, up, devices, round(student, 6))


def _reached(pairs: Sequence[tuple[float | None, float | None]]) -> list[str]:
    """Return a mean in percent, and the mean loss against the first of each pair, in points."""
    known = [(100 * best, 100 * own) for best, own in pairs if best is not None and own is not None]
    if not known:
        return ["-", "-"]
    losses = [best - own for best, own in known]
    spread = f" ± {stdev(losses):.1f}" if len(losses) > 1 else ""
    return [f"{fmean(own for _, own in known):.1f}", f"{fmean(losses):.1f}{spread}"]


def table(rows: Sequence[Row]) -> str:
    """Return means, and differences to the whole covariance, paired by seed."""
    lines = ["| data, alpha | second moments | numbers | kB up | devices | loss | student | loss |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    best = {(r.data, r.alpha, r.seed): r for r in rows if r.what == WHOLE}
    for data, alpha, what in dict.fromkeys((r.data, r.alpha, r.what) for r in rows):
        some = [r for r in rows if (r.data, r.alpha, r.what) == (data, alpha, what)]
        paired = [(best[key], r) for r in some if (key := (data, alpha, r.seed)) in best]
        up = max(r.up for r in some)
        sent = f"{up / 1e3:,.0f}" if up else "-"
        cells = [f"{data}, {alpha:g}", what, f"{some[0].numbers:,}", sent]
        cells += _reached([(b.devices, r.devices) for b, r in paired])
        cells += _reached([(b.student, r.student) for b, r in paired])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write rows as they come, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--alphas", default="0.5")
    parser.add_argument("--seeds", default="20,21,22")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--set-alone", action="store_true")
    parser.add_argument("--out", default="")
    asked = parser.parse_args()
    path = Path(__file__).parent / "results" / asked.out if asked.out else None
    rows = []
    if path is not None and path.exists():
        rows = [Row(**each) for each in json.loads(path.read_text())["rows"]]
    for source in asked.data.split(","):
        for alpha in map(float, asked.alphas.split(",")):
            for seed in map(int, asked.seeds.split(",")):
                done: set[object] = {row.key for row in rows}
                sizes = (asked.samples, asked.steps, asked.set_alone)
                for row in rows_of(source, alpha, seed, *sizes, done):
                    rows.append(row)
                    print(json.dumps(asdict(row)), flush=True)
                    if path is not None:
                        content = {
                            "command": "python -m benchmarks.moments_size",
                            "samples": asked.samples,
                            "steps": asked.steps,
                            "python": platform.python_version(),
                            "rows": [asdict(each) for each in rows],
                        }
                        path.write_text(json.dumps(content, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
