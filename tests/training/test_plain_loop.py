"""A run of `Trainer` and a plain PyTorch loop on the same batches end with the same weights, to the bit."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from regraft.callbacks import WarmupCosine
from regraft.training import Trainer, discriminative_groups


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(32, 3),
    )  # fmt: skip


def batches(points: Any) -> list[Any]:
    x, y = points
    return list(zip(x.split(32), y.split(32), strict=True))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_fine_tuning_equals_a_plain_loop(points: Any) -> None:
    data = batches(points)

    # the plain loop
    model = network()
    optimizer = torch.optim.AdamW(discriminative_groups(model, 1e-2, decay=0.7, weight_decay=0.05))
    base = [group["lr"] for group in optimizer.param_groups]
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    total = 3 * len(data)
    warmup = round(0.2 * total)
    step = 0
    torch.manual_seed(7)
    for _ in range(3):
        model.train()
        for x, y in data:
            if step < warmup:
                factor = (step + 1) / warmup
            else:
                factor = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * factor
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
        model.eval()

    # Trainer
    own = network()
    optimizer = torch.optim.AdamW(discriminative_groups(own, 1e-2, decay=0.7, weight_decay=0.05))
    trainer = Trainer(own, optimizer, nn.CrossEntropyLoss(label_smoothing=0.1), ["accuracy"], clip_norm=1.0)
    torch.manual_seed(7)
    history = trainer.fit(data, epochs=3, verbose=0, callbacks=[WarmupCosine(0.2, floor=0.1)])

    assert same(own, model)
    assert trainer.optimizer is not None
    assert trainer.optimizer.iterations == total
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert len(set(history.history["learning_rate"])) == 3


def test_accumulated_batches_make_one_update(points: Any) -> None:
    data = batches(points)  # 7 batches: updates of 3, 3 and 1
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(7)
    model.train()
    for group in (data[:3], data[3:6], data[6:]):
        optimizer.zero_grad()
        for x, y in group:
            (nn.functional.cross_entropy(model(x), y) / len(group)).backward()
        optimizer.step()

    trainer = Trainer(network(), "sgd", "cross_entropy", learning_rate=0.1, accumulate=3)
    torch.manual_seed(7)
    trainer.fit(data, verbose=0)
    assert same(trainer.module, model)
    assert trainer.optimizer is not None
    assert trainer.optimizer.iterations == 3


def test_accumulation_without_a_known_length_updates_with_what_is_left(points: Any) -> None:
    trainer = Trainer(network(), "sgd", "cross_entropy", accumulate=3)
    trainer.fit((batch for batch in batches(points)), verbose=0)
    assert trainer.optimizer is not None
    assert trainer.optimizer.iterations == 3
    assert all(p.grad is None for p in trainer.module.parameters())


def test_bf16_equals_autocast_by_hand(points: Any) -> None:
    data = batches(points)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(7)
    model.train()
    for x, y in data:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    trainer = Trainer(network(), "sgd", "cross_entropy", learning_rate=0.1, precision="bf16")
    torch.manual_seed(7)
    trainer.fit(data, verbose=0)
    assert same(trainer.module, model)
    assert trainer.predict(points[0], verbose=0).dtype == "float32"


def test_clip_value(points: Any) -> None:
    data = batches(points)[:1]
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    torch.manual_seed(7)
    nn.functional.cross_entropy(model.train()(data[0][0]), data[0][1]).backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.01)
    optimizer.step()
    trainer = Trainer(network(), "sgd", "cross_entropy", learning_rate=1.0, clip_value=0.01)
    torch.manual_seed(7)
    trainer.fit(data, verbose=0)
    assert same(trainer.module, model)


def test_moving_average_by_its_formula(points: Any) -> None:
    trainer = Trainer(network(), "sgd", "cross_entropy", learning_rate=0.1, ema=0.8)
    seen: list[Any] = []
    average: Any = None
    for batch in batches(points):
        trainer.train_on_batch(*batch)
        seen.append([p.detach().clone() for p in trainer.module.parameters()])
        average = seen[-1] if average is None else [0.8 * a + 0.2 * w for a, w in zip(average, seen[-1], strict=True)]
    assert trainer.ema is not None
    for found, expected in zip(trainer.ema.average, average, strict=True):
        torch.testing.assert_close(found, expected)


def test_compile_runs_the_module_through_torch_compile(points: Any) -> None:
    calls = []

    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(graph)
        return graph.forward

    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    plain = Trainer(copy.deepcopy(model), "sgd", "cross_entropy")
    compiled = Trainer(model, "sgd", "cross_entropy", compile={"backend": backend})
    for trainer in (plain, compiled):
        trainer.fit(batches(points)[:6], verbose=0)
    assert calls
    assert same(plain.module, compiled.module)


class CountTransfers(TorchDispatchMode):
    """Counts how often a figure is brought from the device to the host, which on a GPU waits for it."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("watch", [False, True])
def test_no_batch_waits_for_the_device_unless_a_callback_looks(points: Any, watch: bool) -> None:
    from regraft.callbacks import LambdaCallback

    looks = [LambdaCallback(on_train_batch_end=lambda batch, logs: logs["loss"] if watch else None)]
    trainer = Trainer(network(), "momentum", "cross_entropy", ["accuracy"])
    with CountTransfers() as transfers:
        trainer.fit(batches(points), epochs=2, verbose=0, callbacks=looks, class_weight={0: 2.0})
    per_epoch, per_batch = 2, 2  # loss and hits
    checks = 3  # of the first batch of all: its smallest and its largest class number, and the one that torch ignores
    assert transfers.count == checks + 2 * per_epoch + (2 * 7 * per_batch if watch else 0)


def test_logs_keep_the_figures_of_their_batch(points: Any) -> None:
    from regraft.callbacks import LambdaCallback

    late: list[Any] = []
    soon: list[Any] = []

    def watch(batch: int, logs: Any) -> None:
        late.append(logs)
        if batch % 2:
            soon.append(dict(logs))

    callback = LambdaCallback(on_train_batch_end=watch)
    trainer = Trainer(network(), "sgd", "cross_entropy", ["accuracy"])
    trainer.fit(batches(points), verbose=0, callbacks=[callback])
    assert [dict(logs) for logs in late[1::2]] == soon
    assert len({logs["loss"] for logs in late}) == len(late) == 7
