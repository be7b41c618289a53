"""Features and predictions on a local Ray cluster of two nodes, one of which is killed, beside one process.

    python benchmarks/ray_two_nodes.py [PHOTOS]

PHOTOS generated photos of 64 pixels (10,000 if not given), and the tiny network test_resnet with random weights. Every
entry of the store and every prediction must have the same bits as in one process.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ray
from _many_photos import write_photos
from ray.cluster_utils import Cluster
from safetensors.torch import save_file

from regraft.data.selection import PhotoSelection
from regraft.features.stores.store import MemoryStore
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.zoo import build_backbone
from regraft.on_ray.prediction_actors import ClusterPredictor
from regraft.screen import QuietScreen
from regraft.workflows.feature_pass import PassOptions, prepare_pass, run_pass
from regraft.workflows.steps.pass_network import on_cluster

NODE = {"num_cpus": 1, "object_store_memory": 100 << 20}


class KillingStore(MemoryStore):
    """A store that kills a node when the first results arrive."""

    def __init__(self, cluster: Any, node: Any) -> None:
        super().__init__()
        self._cluster, self._node = cluster, node

    def put_many(self, items: Any, kind: str = "") -> None:
        """Store entries."""
        super().put_many(items, kind)
        if self._node is not None:
            self._cluster.remove_node(self._node, allow_graceful=False)
            self._node = None


def features(options: PassOptions, store: MemoryStore, on: str | None) -> dict[str, bytes]:
    """Return all entries of a pass."""
    begun = time.monotonic()
    prepared = prepare_pass(options, store, QuietScreen())
    run_pass(prepared, store, QuietScreen(), on_cluster(on, options.weights) if on else None)
    print(f"  {time.monotonic() - begun:.1f} s", flush=True)
    return {key: numbers.tobytes() for key, numbers in store._features.items()}


def main() -> None:
    """Print whether the results are equal."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REGRAFT_CACHE"] = f"{folder}/cache"
        photos = write_photos(Path(folder) / "photos", count)
        backbone = build_backbone("test_resnet.r160_in1k", pretrained=False, size=64)
        weights = Path(folder) / "weights.safetensors"
        save_file(dict(backbone.network.state_dict()), weights)
        options = PassOptions(
            PhotoSelection(photos), engine="eager fp32", backbone="test_resnet.r160_in1k", weights=weights, size=64
        )
        print("features, one process", flush=True)
        expected = features(options, MemoryStore(), None)
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        node = cluster.add_node(**NODE)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        print("features, two nodes, one killed after the first results", flush=True)
        found = features(options, KillingStore(cluster, node), "ray")
        print(f"  {len(found):,} entries, {'equal' if found == expected else 'DIFFERENT'}", flush=True)
        cluster.add_node(**NODE)
        model = Path(folder) / "model.safetensors"
        Classifier(backbone, ["ant", "bee"]).save(model)
        predictor, paths = Predictor.load(model), sorted(photos.rglob("*.jpg"))
        alone = list(predictor.stream(paths))
        begun = time.monotonic()
        answers = list(ClusterPredictor(predictor, "ray", model).stream(paths))
        state = "equal" if answers == alone else "DIFFERENT"
        print(f"{len(answers):,} predictions on two nodes in {time.monotonic() - begun:.1f} s, {state}", flush=True)
        ray.shutdown()
        cluster.shutdown()
    print(f"memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
