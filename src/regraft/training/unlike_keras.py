"""Attributes of Keras's models that a torch module does not have, and what to use in their place."""

from __future__ import annotations

_SYMBOLIC = (
    "a torch module has no symbolic tensors; call the model on a batch, or register a forward hook on model.module"
)
_SHAPE = "a torch module does not fix the shapes of its inputs and outputs"
_CONFIG = "a torch module has no configuration; save weights with model.save and build the module by its own code"
_LOOP = "the loop is the Trainer's; use callbacks, or train_on_batch in a loop of your own"

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


def explanation(name: str) -> str:
    """Return what to use in place of ``name``, for the end of a message; empty where nothing is known."""
    return f"; {INSTEAD[name]}" if name in INSTEAD else ""
