"""Names of options in other programs, with the options of regraft that they mean, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_NAMES: Final = {
    "backbone": "model arch architecture network net base_model model_name encoder",
    "lr": "learning_rate learningrate rate base_lr max_lr lr0 initial_lr eta",
    "epochs": "epoch n_epochs num_epochs max_epochs nb_epoch iterations",
    "batch_size": "batch bs batchsize train_batch_size per_device_train_batch_size",
    "size": "imgsz img_size image_size input_size resolution pixels crop_size resize",
    "out": "output output_dir outdir out_dir save_dir project dest",
    "budget": "time time_limit max_time timeout minutes duration",
    "labels": "csv annotations labels_csv label_file csv_file",
    "early_stop": "patience early_stopping early_stopping_patience",
    "unfreeze": "freeze freeze_layers unfreeze_layers layers trainable_layers",
    "split": "val_split validation_split test_split test_size val_size valid_pct",
    "seed": "random_seed random_state manual_seed",
    "weights": "pretrained checkpoint ckpt weights_path",
    "workers": "num_workers jobs threads nproc n_jobs",
    "device": "gpu gpus cuda accelerator",
    "class_weight": "class_weights weighted balanced",
    "group_by": "group groups group_column stratify_group",
    "lr_schedule": "scheduler lr_scheduler schedule",
    "precision": "amp fp16 bf16 half mixed_precision",
    "recipe": "method strategy mode",
    "folders": "layout structure",
    "top": "topk top_k k",
    "copy_to": "sort sort_to output output_dir out",
    "include_training": "all include_train",
}

_VALUES: Final = {
    "finetune": "fine-tune",
    "finetuning": "fine-tune",
    "transfer": "fine-tune",
    "probe": "linear-probe",
    "linear": "linear-probe",
    "features": "feature-extraction",
    "featureextractor": "feature-extraction",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "gpu": "cuda",
    "split": "sides",
    "json": "jsonl",
    "float32": "fp32",
    "bfloat16": "bf16",
}


def _plain(name: str) -> str:
    return name.strip("-").casefold().replace("-", "_")


def option_meant(name: str, options: Iterable[str]) -> str | None:
    """Return the one of ``options`` that another program's ``name`` means, or None.

    Args:
        name: a name with or without dashes, such as ``"--learning-rate"``.
        options: names with underscores, such as ``"lr"``.
    """
    known = set(options)
    plain = _plain(name)
    meant = next((option for option, names in _NAMES.items() if option in known and plain in names.split()), None)
    return plain if plain in known else meant


def value_meant(value: str, choices: Iterable[str]) -> str | None:
    """Return the one of ``choices`` that ``value`` means, or None: ``finetune`` for ``fine-tune``."""
    plain = "".join(c for c in value.casefold() if c.isalnum())
    spellings = {"".join(c for c in choice.casefold() if c.isalnum()): choice for choice in choices}
    meant = spellings.get(plain) or _VALUES.get(plain)
    return meant if meant in spellings.values() else None
