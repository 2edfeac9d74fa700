"""What a cell computes with: versions, threads, the student's net."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from dreamshare.learning.public import PublicSet
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.learners import STUDENT_PLACE, make_learner
from dreamshare_cli.bench.measuring import Student
from dreamshare_cli.bench.recipe import DevicePlan

LIBRARIES = ("dreamshare", "numpy", "torch", "onnxruntime")


def versions(plan: DevicePlan) -> dict[str, str]:
    """Return the versions of what computes these devices here, and the GPU where one does."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if plan.runtime == "torch":
        from dreamshare_cli.bench.nets import gpu_name

        gpu = gpu_name(plan.device)
        found |= {"gpu": gpu} if gpu else {}
    return found


def one_thread(plan: DevicePlan, place: int) -> None:
    """Have this process compute these devices with one thread, and on its own of several GPUs."""
    if plan.runtime == "torch":
        from dreamshare_cli.bench.nets import own_process

        own_process(plan.device, place)


def student_of(cell: Cell, pool: Pool, public: PublicSet | None) -> Student | None:
    """Return the cell's student, fresh; None where the recipe wants none."""
    plan = cell.student
    if plan is None:
        return None
    learner = make_learner(
        cell.devices, plan.architecture, pool.shape, pool.labels, cell.seed, STUDENT_PLACE
    )
    return Student(plan, learner, cell.seed, public)
