"""Times a gradient of DrJAX's by parameters; runs in an environment of its own.

    python benchmarks/peers/drjax_gradient.py SETTING.json  (for benchmarks.autodiff_overhead)

Rules:
- the same program on the same numbers as ours: a net of features-hidden-classes, mean loss over
  clients; its gradient is a DrJAX program, differentiated by jax and compiled once;
- times are processor time, of one thread;
- compiling is told apart from running; loss and norm are printed, so that both can be compared.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import drjax
import jax
import jax.numpy as jnp
import numpy as np


def main() -> int:
    """Print one line of JSON."""
    setting = json.loads(Path(sys.argv[1]).read_text())
    arrays = np.load(setting["arrays"])
    x, y = jnp.asarray(arrays["x"]), jnp.asarray(arrays["y"])
    given = {name: jnp.asarray(arrays[name]) for name in ("w1", "b1", "w2", "b2")}

    def loss_of(net: dict, batch: tuple) -> jax.Array:
        inputs, labels = batch
        hidden = jnp.tanh(inputs @ net["w1"] + net["b1"])
        log_p = jax.nn.log_softmax(hidden @ net["w2"] + net["b2"])
        return -jnp.take_along_axis(log_p, labels[:, None], axis=1).mean()

    @drjax.program(placements={"clients": len(x)})
    def mean_loss(net: dict, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        everywhere = drjax.broadcast(net)
        losses = drjax.map_fn(lambda own, a, b: loss_of(own, (a, b)), (everywhere, inputs, labels))
        return drjax.reduce_mean(losses)

    both = jax.jit(jax.value_and_grad(mean_loss))
    began = time.process_time()
    value, gradient = jax.block_until_ready(both(given, x, y))
    compile_s = time.process_time() - began
    times = []
    for _ in range(setting["times"]):
        began = time.process_time()
        jax.block_until_ready(both(given, x, y))
        times.append(time.process_time() - began)
    norm = float(jnp.sqrt(sum((g**2).sum() for g in gradient.values())))
    found = {
        "version": version("drjax"),
        "jax": version("jax"),
        "compile_s": compile_s,
        "median_s": statistics.median(times),
        "loss": float(value),
        "norm": norm,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
