"""Times the functions of Flower's SecAgg+ on given vectors; runs in an environment of its own.

    python benchmarks/peers/flower_secagg.py SETTING.json     (called by benchmarks.secagg)

Rules:
- their code does the work: key pairs, shares, masks and unmasking are the functions that a client
  and the workflow of the installed release run; only the transport between them is replaced;
- vectors, neighbours, threshold and drops are what the caller gives to both sides;
- every figure is CPU time of this process, so that their thread pools count in full.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from flwr.common import ConfigRecord, RecordDict, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.server.workflow.secure_aggregation import secaggplus_workflow as server_side
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import (
    SecAggPlusWorkflow,
    WorkflowState,
)
from flwr.supercore.task_identity import TaskIdentity

ROUND = "current_round"

# The package's attribute of this name is the function in it.
client_side = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")


@dataclass
class Client:
    """One client: its state as their module keeps it, its vector, and whether it vanishes."""

    state: object
    vector: np.ndarray
    drops: bool


class Wire:
    """Stands where their grid stands: hands each message to its client and collects replies."""

    def __init__(self, clients: dict[int, Client]) -> None:
        self.clients = clients
        self.client_cpu_s = 0.0
        self.upload_bytes = 0

    def send_and_receive(self, messages: Iterable[object], *, timeout: float | None) -> list:
        """Return what the clients that are still here answer."""
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            configs = dict(message.content.config_records[RECORD_KEY_CONFIGS])
            stage = configs.pop(Key.STAGE)
            started = time.process_time()
            answer = self._answer(self.clients[node], stage, configs)
            self.client_cpu_s += time.process_time() - started
            if answer is not None:
                replies.append(reply_of(node, answer))
        return replies

    def _answer(self, client: Client, stage: str, configs: dict) -> dict | None:
        match stage:
            case "share_keys":
                return client_side._share_keys(client.state, configs)
            case "collect_masked_vectors" if not client.drops:
                answer = mask(client, configs)
                self.upload_bytes = sum(len(part) for part in answer[Key.MASKED_PARAMETERS])
                return answer
            case "unmask":
                return client_side._unmask(client.state, configs)
            case _:
                return None


def mask(client: Client, configs: dict) -> dict:
    """Return the client's masked vector, as their module makes it."""
    parameters = ndarrays_to_parameters([client.vector])
    return client_side._collect_masked_vectors(client.state, configs, 1, parameters)


def reply_of(node: int, answer: dict) -> SimpleNamespace:
    """Return a reply with the parts of a message that their workflow reads."""
    content = RecordDict({RECORD_KEY_CONFIGS: ConfigRecord(answer)})
    return SimpleNamespace(
        content=content, metadata=SimpleNamespace(src_node_id=node), has_error=lambda: False
    )


def neighbours_of(n: int, k: int) -> dict[int, set[int]]:
    """Return their ring: every node, itself included, with k/2 places on either side."""
    return {
        node: {1 + (node - 1 + offset) % n for offset in range(-k // 2, k // 2 + 1)}
        for node in range(1, n + 1)
    }


def cohort(setting: dict, n: int, drops: int, values: np.ndarray) -> tuple:
    """Return a workflow, its context and state, and the wire, set up as their setup stage does."""
    k, t = setting["neighbours"], setting["threshold"]
    workflow = SecAggPlusWorkflow(k + 1, t, max_weight=1.0, clipping_range=setting["clip"])
    clients, keys = {}, {}
    for node in range(1, n + 1):
        state = client_side.SecAggPlusState()
        state.nid = node
        configs = {
            Key.SAMPLE_NUMBER: n,
            Key.SHARE_NUMBER: k + 1,
            Key.THRESHOLD: t,
            Key.CLIPPING_RANGE: workflow.clipping_range,
            Key.TARGET_RANGE: workflow.quantization_range,
            Key.MOD_RANGE: workflow.modulus_range,
            Key.MAX_WEIGHT: 1.0,
        }
        public = client_side._setup(state, configs)
        keys[node] = [public[Key.PUBLIC_KEY_1], public[Key.PUBLIC_KEY_2]]
        clients[node] = Client(state, np.roll(values, node), drops=node > n - drops)
    state = WorkflowState(
        nid_to_proxies=dict.fromkeys(clients),
        nid_to_fitins={node: RecordDict() for node in clients},
        sampled_node_ids=set(clients),
        active_node_ids=set(clients),
        num_shares=k + 1,
        threshold=t,
        clipping_range=workflow.clipping_range,
        quantization_range=workflow.quantization_range,
        mod_range=workflow.modulus_range,
        max_weight=1.0,
        nid_to_neighbours=neighbours_of(n, k),
        nid_to_publickeys=keys,
    )
    merged: list[np.ndarray] = []
    strategy = SimpleNamespace(
        aggregate_fit=lambda number, results, failures: (merged.extend(results), (None, {}))[1]
    )
    config = {"config": ConfigRecord({ROUND: 1})}
    context = SimpleNamespace(
        state=SimpleNamespace(config_records=config), strategy=strategy, history=None
    )
    return workflow, context, state, Wire(clients), merged


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def client_figures(setting: dict, values: np.ndarray) -> dict[str, object]:
    """Return the cost of masking one vector against k neighbours."""
    n = setting["neighbours"] + 1
    workflow, context, state, wire, _ = cohort(setting, n, 0, values)
    workflow.share_keys_stage(wire, context, state)
    client = wire.clients[1]
    configs = {
        Key.CIPHERTEXT_LIST: state.forward_ciphertexts[1],
        Key.SOURCE_LIST: state.forward_srcs[1],
    }
    # Their clients open the shares of others in the same call; ours do that in the set-up, so the
    # time of the decryption alone is taken off.
    boxes = list(zip(state.forward_srcs[1], state.forward_ciphertexts[1], strict=True))
    opening = min(
        cpu_of(lambda: [decrypt(client.state.ss2_dict[src], box) for src, box in boxes])
        for _ in range(3)
    )
    seconds = [cpu_of(lambda: mask(client, configs)) - opening for _ in range(setting["repeat"])]
    answer = mask(client, configs)
    sent = sum(len(part) for part in answer[Key.MASKED_PARAMETERS])
    return {"mask_cpu_s": seconds, "bytes_per_coordinate": sent / len(values)}


def server_figures(setting: dict, values: np.ndarray) -> dict[str, object]:
    """Return the cost of unmasking the sum of n clients of which some dropped out."""
    n, drops = setting["clients"], setting["dropped"]
    workflow, context, state, wire, _ = cohort(setting, n, drops, values)
    workflow.share_keys_stage(wire, context, state)
    server_side.compat = SimpleNamespace(
        recorddict_to_fitres=lambda content, keep: SimpleNamespace()
    )
    workflow.collect_masked_vectors_stage(wire, context, state)
    before = wire.client_cpu_s
    total = cpu_of(lambda: workflow.unmask_stage(wire, context, state))
    fit = state.legacy_results[0][1]
    mean = np.frombuffer(fit.parameters.tensors[0][-8 * len(values) :], dtype=np.float64)
    alive = [wire.clients[node].vector for node in range(1, n - drops + 1)]
    return {
        "unmask_cpu_s": total - (wire.client_cpu_s - before),
        "largest_error": float(np.abs(mean - np.mean(alive, axis=0)).max()),
    }


def main() -> None:
    """Print the figures as one JSON object."""
    setting = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    values = np.load(setting["values"])
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # their messages ask
    figures: dict[str, object] = {"version": version("flwr")}
    if "client" in setting["parts"]:
        figures |= client_figures(setting, values)
    if "server" in setting["parts"]:
        figures |= server_figures(setting, values)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
