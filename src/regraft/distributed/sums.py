"""Sums over the shards of all processes, in the order of the fixed tree, with the traffic of an all-reduce.

Each process adds up one piece of the vector for all others, and the pieces are joined. So every process sends and
receives about twice the vector, as in a ring all-reduce, and adds each element in the order of the tree.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from regraft.distributed.tree import Node, cover, fold, share
from regraft.distributed.world import World


def sum_in_tree(world: World, nodes: Mapping[Node, Tensor], shards: int, empty: Tensor) -> Tensor:
    """Return the sum over all shards, the same bits in every process.

    Args:
        world: the processes.
        nodes: the sum of this process at each node of its `cover`, shape (n,).
        shards: number of shards of the batch.
        empty: zeros of shape (n,), for a process without shards.
    """
    root = (0, shards)
    if world.size == 1:
        return nodes[root]
    covers = [cover(root, share(shards, rank, world.size)) for rank in range(world.size)]
    own = covers[world.rank]
    piece = -(-len(empty) // world.size)
    missing = piece * world.size - len(empty)
    padded = [_padded(nodes[node], missing).view(world.size, piece) for node in own]
    sent = _for_each_process(padded) if padded else empty[:0]
    received = world.exchange(sent, [len(own) * piece] * world.size, [len(each) * piece for each in covers])
    every_node = [node for each in covers for node in each]
    values = dict(zip(every_node, received.view(-1, piece), strict=True))
    return world.join(fold(root, values.get, torch.add))[: len(empty)]


def _padded(vector: Tensor, missing: int) -> Tensor:
    return pad(vector, (0, missing)) if missing else vector


def _for_each_process(pieces: list[Tensor]) -> Tensor:
    """Return the pieces of all nodes for process 0, then those for process 1, and so on."""
    return pieces[0].flatten() if len(pieces) == 1 else torch.stack(pieces, 1).flatten()
