"""Approximate indexes for near-copies beside the exact search: recall of known pairs, seconds, megabytes.

    python benchmarks/near_copy_index.py [ROWS] [INDEX ...]

ROWS unit vectors of 256 numbers (100,000 if not given), as the audit has them after its projection: 500 clusters with
the spectrum of frozen features, and for 2 % of the rows a near-copy with a cosine of 0.75 to 0.99. The task is that of
the audit: ten candidates for each row. "pairs" is the share of the known near-copies that are among the candidates of
either row, "all ten" the share of the exact neighbors. Seconds are CPU seconds of build and search on one thread; the
exact search is done for the rows of the known pairs only, and its seconds are scaled. faiss, IVF is what regraft uses.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

K = 10
WIDTH = 256


def rows_and_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors, shape (count, WIDTH), and known pairs, shape (m, 2)."""
    draw = np.random.default_rng(0)
    spectrum = (1 + np.arange(WIDTH)) ** -0.5
    centers = draw.standard_normal((500, WIDTH)) * spectrum
    rows = (centers[draw.integers(0, 500, count)] + draw.standard_normal((count, WIDTH)) * spectrum).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = draw.permutation(count)[: count // 25 * 2].reshape(-1, 2)[: count // 50]
    cosine = draw.uniform(0.75, 0.99, len(pairs))[:, None]
    noise = draw.standard_normal((len(pairs), WIDTH)) * spectrum
    source = rows[pairs[:, 0]]
    noise -= (noise * source).sum(axis=1, keepdims=True) * source
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    rows[pairs[:, 1]] = cosine * source + np.sqrt(1 - cosine**2) * noise
    return rows, pairs


def exact(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the ten nearest rows of some rows by products of blocks."""
    out = np.empty((len(asked), K), np.int64)
    for first in range(0, len(asked), 1024):
        some = asked[first : first + 1024]
        block = rows[some]
        best, where = np.empty((len(block), 0), np.float32), np.empty((len(block), 0), np.int64)
        for start in range(0, len(rows), 8192):
            products = block @ rows[start : start + 8192].T
            column = np.argpartition(-products, K + 1, axis=1)[:, : K + 1]
            best = np.concatenate([best, np.take_along_axis(products, column, 1)], axis=1)
            where = np.concatenate([where, column + start], axis=1)
        order = np.argsort(-best, axis=1)[:, : K + 1]
        out[first : first + len(block)] = without_itself(np.take_along_axis(where, order, 1), some)
    return out


def without_itself(found: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return ten of eleven neighbors, without the row itself."""
    itself = found == (np.arange(len(found)) if rows is None else rows)[:, None]
    order = np.argsort(itself, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)[:, :K]


def with_usearch(rows: np.ndarray) -> np.ndarray:
    """Return neighbors by usearch."""
    from usearch.index import Index

    index = Index(ndim=WIDTH, metric="ip", dtype="f32", connectivity=16, expansion_add=128, expansion_search=96)
    index.add(np.arange(len(rows)), rows, threads=1)
    return without_itself(index.search(rows, K + 1, threads=1).keys.astype(np.int64))


def with_hnswlib(rows: np.ndarray) -> np.ndarray:
    """Return neighbors by hnswlib."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=WIDTH)
    index.init_index(max_elements=len(rows), ef_construction=128, M=16)
    index.set_num_threads(1)
    index.add_items(rows)
    index.set_ef(96)
    return without_itself(index.knn_query(rows, K + 1)[0].astype(np.int64))


def with_voyager(rows: np.ndarray) -> np.ndarray:
    """Return neighbors by voyager."""
    from voyager import Index, Space

    index = Index(Space.InnerProduct, num_dimensions=WIDTH, M=16, ef_construction=128)
    index.add_items(rows, num_threads=1)
    return without_itself(index.query(rows, K + 1, num_threads=1, query_ef=96)[0].astype(np.int64))


def with_faiss_hnsw(rows: np.ndarray) -> np.ndarray:
    """Return neighbors by faiss, the same graph."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 128, 96
    index.add(rows)
    return without_itself(index.search(rows, K + 1)[1])


def with_faiss_ivf(rows: np.ndarray) -> np.ndarray:
    """Return neighbors by faiss, cells of k-means."""
    import faiss

    faiss.omp_set_num_threads(1)
    cells = int(4 * np.sqrt(len(rows)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(WIDTH), WIDTH, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid, index.nprobe = 5, 1, max(1, cells // 20)
    index.train(rows[np.random.default_rng(0).permutation(len(rows))[: 20 * cells]])
    index.add(rows)
    return without_itself(index.search(rows, K + 1)[1])


METHODS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "usearch": ("usearch", with_usearch),
    "hnswlib": ("hnswlib", with_hnswlib),
    "voyager": ("voyager", with_voyager),
    "faiss, HNSW": ("faiss", with_faiss_hnsw),
    "faiss, IVF": ("faiss", with_faiss_ivf),
}


def in_a_process(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of ``work`` in a process of its own, its CPU seconds, and the growth of its memory in MB."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def child() -> None:
        before = resident()
        result = work()
        used = resource.getrusage(resource.RUSAGE_SELF)
        send.send((result, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024 - before))

    process = context.Process(target=child)
    process.start()
    answer = receive.recv()
    process.join()
    return answer


def resident() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def share_of_pairs(found: np.ndarray, pairs: np.ndarray) -> float:
    """Return the share of the pairs in which one row is among the neighbors of the other."""
    one, other = pairs.T
    either = (found[one] == other[:, None]).any(axis=1) | (found[other] == one[:, None]).any(axis=1)
    return float(either.mean())


def main() -> None:
    """Print a table in Markdown."""
    rows, pairs = rows_and_pairs(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    asked = pairs.ravel()
    truth, seconds, memory = in_a_process(lambda: exact(rows, asked))
    found = np.full((len(rows), K), -1)
    found[asked] = truth
    print(f"{len(rows):,} rows x {WIDTH}, {len(pairs):,} known pairs\n")
    print("| index | pairs | all ten | CPU s | MB |\n|---|---|---|---|---|")
    scaled = seconds * len(rows) / len(asked)
    print(f"| exact | {share_of_pairs(found, pairs):.4f} | 1 | {scaled:.1f} | {memory:.0f} |", flush=True)
    for name, (package, method) in METHODS.items():
        if importlib.util.find_spec(package) is None or (sys.argv[2:] and name not in sys.argv[2:]):
            continue
        found, seconds, memory = in_a_process(lambda method=method: method(rows))
        same = np.mean([len(np.intersect1d(found[row], ten)) / K for row, ten in zip(asked, truth, strict=True)])
        recall = share_of_pairs(found, pairs)
        print(f"| {name} | {recall:.4f} | {same:.4f} | {seconds:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
