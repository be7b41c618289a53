"""A small training that is killed once and resumed, in the way that each library documents; for `resume_table.py`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

SAMPLES, BATCH, EPOCHS = 96, 8, 2  # a batch of each process
EVERY = 2  # steps between checkpoints
KILL_AT = 9  # steps of two processes: 6 in the first epoch, and half of the second


class Samples(Dataset[tuple[Tensor, Tensor, int]]):
    """Samples with their numbers."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, int]:
        return torch.full((4,), number / SAMPLES), torch.tensor(number % 2), number


class Counting(nn.Module):
    """A linear classifier that counts how often each sample was trained on, in all processes together.

    Args:
        together: whether the counts of the processes have to be added; regraft merges buffers itself.
    """

    def __init__(self, *, together: bool = True) -> None:
        super().__init__()
        self.head, self._together = nn.Linear(4, 2), together
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(SAMPLES, dtype=torch.float64))

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        """Return logits, shape (n, 2)."""
        if self.training:
            count = torch.bincount(number, minlength=SAMPLES).double()
            _note(len(number))
            if self._together and dist.is_initialized():
                dist.all_reduce(count)
            self.seen += count
        logits: Tensor = self.head(x)
        return logits


def _folder() -> Path:
    return Path(os.environ["RESUME_TABLE"])


def _note(samples: int) -> None:
    """Record, across kills, that some samples were computed."""
    with (_folder() / f"computed {os.getpid()}").open("ab") as file:
        file.write(b"." * samples)


def computed(folder: Path) -> int:
    """Return the number of samples that all processes computed."""
    return sum(path.stat().st_size for path in folder.glob("computed *"))


def _die(steps: int) -> None:
    """Kill process 1 after ``steps`` steps, once."""
    mark = _folder() / "killed"
    if steps == KILL_AT and not mark.exists() and os.environ.get("RANK") == "1":
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _finish(module: Any) -> None:
    if os.environ.get("RANK") == "0":
        torch.save(module.seen, _folder() / "seen.pt")


def regraft(folder: Path, size: int) -> None:
    """`Trainer.fit(resume=...)`; a batch is that of all processes."""
    from regraft.callbacks import Callback
    from regraft.training import Snapshots, Trainer

    shards = 8

    class Kill(Callback):
        every_rank = True

        def state_dict(self) -> dict[str, Any]:
            return {}

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            _die(self.model.epoch * SAMPLES // (2 * BATCH) + batch)

    torch.manual_seed(0)
    data = Samples()
    rows = [data[number] for number in range(SAMPLES)]
    x, y, numbers = (torch.stack([torch.as_tensor(row[k]) for row in rows]) for k in range(3))
    module = Counting(together=False)
    Trainer(module, "sgd", "cross_entropy", shards=shards).fit(
        (x, numbers), y, batch_size=2 * BATCH, epochs=EPOCHS, verbose=0, callbacks=[Kill()],
        resume=Snapshots(folder / "snapshots", every=1e-9),
    )  # fmt: skip
    module.seen *= shards  # a buffer is averaged over the shards
    _finish(module)


def accelerate(folder: Path, size: int, *, seedable: bool = False, stateful: bool = False) -> None:
    """`save_state`, `load_state` and `skip_first_batches`, as in the guide "Checkpointing" of Accelerate."""
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration, ProjectConfiguration

    torch.manual_seed(0)
    project = ProjectConfiguration(project_dir=str(folder), automatic_checkpoint_naming=True)
    data = DataLoaderConfiguration(use_seedable_sampler=seedable, use_stateful_dataloader=stateful)
    accelerator = Accelerator(cpu=True, project_config=project, dataloader_config=data)
    module = Counting()
    loader: Any = DataLoader(Samples(), batch_size=BATCH, shuffle=True)
    model, optimizer, loader = accelerator.prepare(module, torch.optim.SGD(module.parameters(), 0.1), loader)
    saved = sorted((folder / "checkpoints").glob("checkpoint_*"), key=lambda path: int(path.name[11:]))
    steps, start, skip = 0, 0, 0
    if saved:
        accelerator.load_state(str(saved[-1]))
        steps = (int(saved[-1].name[11:]) + 1) * EVERY
        start, skip = divmod(steps, len(loader))
        accelerator.project_configuration.iteration = len(saved)
    for epoch in range(start, EPOCHS):
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        jump = saved and epoch == start and not stateful
        for x, y, number in accelerator.skip_first_batches(loader, skip) if jump else loader:
            _die(steps)
            optimizer.zero_grad()
            accelerator.backward(nn.functional.cross_entropy(model(x, number), y))
            optimizer.step()
            steps += 1
            if steps % EVERY == 0:
                accelerator.save_state()
    _finish(accelerator.unwrap_model(model))


def lightning(folder: Path, size: int, *, stateful: bool = False) -> None:
    """`ModelCheckpoint` every few steps, and `fit(ckpt_path="last")`."""
    import logging

    import lightning
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = Counting()

        def training_step(self, batch: Any, _: int) -> Tensor:
            x, y, number = batch
            return nn.functional.cross_entropy(self.net(x, number), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    class Kill(Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, number: int) -> None:
            _die(trainer.global_step)

    if stateful:
        from torchdata.stateful_dataloader import StatefulDataLoader as Loader
    else:
        Loader = DataLoader
    lightning.seed_everything(0, verbose=False)
    module = Module()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", devices=size, strategy="ddp", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, every_n_train_steps=EVERY, save_last=True, save_top_k=-1), Kill()],
    )  # fmt: skip
    trainer.fit(module, Loader(Samples(), batch_size=BATCH, shuffle=True), ckpt_path="last")
    _finish(module.net)


def _ray_loop(config: dict[str, Any]) -> None:
    """The loop of the guide "Saving and Loading Checkpoints": a checkpoint after each epoch."""
    import tempfile

    import ray.train
    import ray.train.torch

    os.environ["RESUME_TABLE"] = config["folder"]
    torch.manual_seed(0)
    module = Counting()
    start = 0
    checkpoint = ray.train.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as place:
            state = torch.load(Path(place) / "model.pt")
            module.load_state_dict(state["model"])
            start = state["epoch"] + 1
    model = ray.train.torch.prepare_model(module)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = ray.train.torch.prepare_data_loader(DataLoader(Samples(), batch_size=BATCH, shuffle=True))
    steps = start * len(loader)
    for epoch in range(start, EPOCHS):
        if ray.train.get_context().get_world_size() > 1:
            loader.sampler.set_epoch(epoch)
        for x, y, number in loader:
            _die(steps)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x, number), y).backward()
            optimizer.step()
            steps += 1
        with tempfile.TemporaryDirectory() as place:
            torch.save({"model": module.state_dict(), "epoch": epoch}, Path(place) / "model.pt")
            ray.train.report({}, checkpoint=ray.train.Checkpoint.from_directory(place))
        time.sleep(3)  # a real epoch takes longer than the registration of a checkpoint
    _finish(module)


def ray_train(folder: Path, size: int) -> None:
    """`TorchTrainer`, `report` and `get_checkpoint`; a second trainer of the same name continues the first."""
    import ray
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    ray.init(num_cpus=3, log_to_driver=False, logging_level="ERROR")
    trainer = TorchTrainer(
        _ray_loop,
        train_loop_config={"folder": str(folder)},
        scaling_config=ScalingConfig(num_workers=size),
        run_config=RunConfig(name="table", storage_path=str(folder / "ray")),
    )
    try:
        trainer.fit()
    except TrainingFailedError:
        pass
    finally:
        ray.shutdown()


RECIPES: dict[str, Callable[[Path, int], None]] = {
    "regraft": regraft,
    "Accelerate": accelerate,
    "Accelerate, seedable sampler": lambda folder, size: accelerate(folder, size, seedable=True),
    "Accelerate, stateful loader": lambda folder, size: accelerate(folder, size, seedable=True, stateful=True),
    "Lightning": lightning,
    "Lightning, stateful loader": lambda folder, size: lightning(folder, size, stateful=True),
    "Ray Train": ray_train,
}

WAYS = {
    "regraft": "fit(resume=Snapshots(...))",
    "Accelerate": "save_state every 2 steps, load_state, skip_first_batches",
    "Accelerate, seedable sampler": "the same with use_seedable_sampler=True",
    "Accelerate, stateful loader": "the same with use_stateful_dataloader=True, too, in place of skip_first_batches",
    "Lightning": "ModelCheckpoint(every_n_train_steps=2), fit(ckpt_path='last')",
    "Lightning, stateful loader": "the same with torchdata's StatefulDataLoader",
    "Ray Train": "report(checkpoint) after each epoch, get_checkpoint",
}
