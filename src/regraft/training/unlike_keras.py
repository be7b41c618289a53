"""Attributes and arguments of Keras's models that `Trainer` does not have, and their replacements."""

from __future__ import annotations

from collections.abc import Iterable

from regraft.errors import did_you_mean

_SYMBOLIC = (
    "a torch module has no symbolic tensors; call the model on a batch, or register a forward hook on model.module"
)
_SHAPE = "a torch module does not fix the shapes of its inputs and outputs"
_CONFIG = "a torch module has no configuration; save weights with model.save and build the module by its own code"
_LOOP = "the loop is the Trainer's; use callbacks, or train_on_batch in your own loop"

INSTEAD = {
    **dict.fromkeys(("input", "inputs", "output", "outputs"), _SYMBOLIC),
    **dict.fromkeys(("input_shape", "output_shape", "input_spec"), _SHAPE),
    **dict.fromkeys(("to_json", "to_yaml", "get_config", "from_config", "get_compile_config"), _CONFIG),
    **dict.fromkeys(
        (
            "make_train_function", "make_test_function", "make_predict_function", "train_function", "test_function",
            "predict_function", "test_step", "run_eagerly", "steps_per_execution", "distribute_strategy",
            "_train_counter",
        ),
        _LOOP,
    ),
    "compile": "make a new Trainer with the optimizer, loss and metrics",
    "compiled_metrics": "use model.metrics or model.get_metrics_result()",
    "compiled_loss": "use model.loss",
    "compute_loss": "use model.test_on_batch(x, y)",
    "compute_metrics": "use model.test_on_batch(x, y)",
    "total_loss": "use model.test_on_batch(x, y)",
    "losses": "add penalties to the loss function",
    "add_loss": "add penalties to the loss function",
    "add_metric": "pass metrics= to the Trainer",
    "add": "change model.module, then make a new Trainer",
    "pop": "change model.module, then make a new Trainer",
    "build": "a torch module is built when it is made",
    "call": "call the model: model(x)",
    "export": "use torch.export or torch.onnx.export on model.module",
    "quantize": "use torch.ao.quantization on model.module",
    "fit_generator": "pass the generator to fit",
    "evaluate_generator": "pass the generator to evaluate",
    "predict_generator": "pass the generator to predict",
    "predict_classes": "use model.predict(x).argmax(-1)",
    "predict_proba": "use model.predict(x)",
}  # fmt: skip


_LOADING = "for parallel loading pass DataLoader(dataset, batch_size=32, num_workers=4) as x"

#: Arguments of older Keras's ``fit``, ``evaluate`` and ``predict``.
OLDER_ARGUMENTS = {
    **dict.fromkeys(
        ("workers", "use_multiprocessing", "max_queue_size", "nb_worker", "pickle_safe", "max_q_size"), _LOADING
    ),
    "nb_epoch": "use epochs",
    "generator": "pass the generator as x",
    "samples_per_epoch": "use steps_per_epoch, which counts batches",
    "val_samples": "use steps or validation_steps, which count batches",
    "nb_val_samples": "use validation_steps, which counts batches",
    "show_accuracy": "pass metrics=['accuracy'] to the Trainer",
    "optimizer": "pass it to the Trainer",
    "loss": "pass it to the Trainer",
    "metrics": "pass them to the Trainer",
    "learning_rate": "pass it to the Trainer",
}


def reject_unknown_arguments(method: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise an error if ``method`` was called with arguments that it does not have.

    Raises:
        TypeError: an unknown argument; the message names the replacement, if it is known.
    """
    for name in given:
        instead = f"; {OLDER_ARGUMENTS[name]}" if name in OLDER_ARGUMENTS else did_you_mean(name, list(known))
        raise TypeError(f"{method} has no argument {name!r}{instead}")


def explanation(name: str) -> str:
    """Return the replacement of the attribute ``name`` as the end of a message; empty if there is none."""
    return f"; {INSTEAD[name]}" if name in INSTEAD else ""
