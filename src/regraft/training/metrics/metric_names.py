"""The names of metrics: accuracies, Keras's metrics in every spelling that Keras accepts, and losses as metrics."""

from __future__ import annotations

from regraft.errors import TrainingError, did_you_mean
from regraft.training.losses.loss_names import KERAS, SHORT, bare, keras_name
from regraft.training.metrics import accuracies, confusion, regression_metrics
from regraft.training.metrics.metric import Direction, Each, Metric, Reads, SumMetric

#: Means over samples: the function, the better direction, and the form of its arguments.
MEANS: dict[str, tuple[Each, Direction, Reads]] = {
    "sparse_categorical_accuracy": (accuracies.sparse_categorical_accuracy, "max", "classes"),
    "categorical_accuracy": (accuracies.categorical_accuracy, "max", "classes"),
    "top_k_categorical_accuracy": (accuracies.top_k_categorical_accuracy, "max", "classes"),
    "sparse_top_k_categorical_accuracy": (accuracies.sparse_top_k_categorical_accuracy, "max", "classes"),
    "cosine_similarity": (regression_metrics.cosine_similarity, "max", "raw"),
    "pearson_correlation": (regression_metrics.pearson_correlation, "max", "raw"),
    "concordance_correlation": (regression_metrics.concordance_correlation, "max", "raw"),
}

#: Metrics with a class of their own.
KINDS: dict[str, type[SumMetric]] = {
    "auc": confusion.AUC,
    "precision": confusion.Precision,
    "recall": confusion.Recall,
    "f1_score": confusion.F1Score,
    "true_positives": confusion.TruePositives,
    "false_positives": confusion.FalsePositives,
    "true_negatives": confusion.TrueNegatives,
    "false_negatives": confusion.FalseNegatives,
    "binary_iou": confusion.BinaryIoU,
    "root_mean_squared_error": regression_metrics.RootMeanSquaredError,
    "r2_score": regression_metrics.R2Score,
}
AUTO = ("accuracy", "acc")

#: Losses of probabilities: if they are metrics of a module that returns logits, its outputs become probabilities.
_OF_PROBABILITIES = {name for name, named in KERAS.items() if named.takes == "probabilities"} | {"kl_divergence"}

_ALIASES = {"logcosherror": "log_cosh", "rmse": "root_mean_squared_error", "r2": "r2_score", "f1": "f1_score"}

#: Metrics of Keras that need arguments, and how to use them.
MISSING = {
    **dict.fromkeys(
        ("precisionatrecall", "recallatprecision", "sensitivityatspecificity", "specificityatsensitivity"),
        "it needs an argument: pass an instance of keras.metrics, or one of torchmetrics, such as "
        "torchmetrics.classification.BinaryRecallAtFixedPrecision(min_precision=0.9)",
    ),
    **dict.fromkeys(
        ("meaniou", "iou", "onehotiou", "onehotmeaniou"),
        "it needs the number of classes: pass an instance of keras.metrics, or torchmetrics.JaccardIndex('multiclass', "
        "num_classes=...)",
    ),
    "fbetascore": "it needs beta: pass keras.metrics.FBetaScore(beta=...), or one of torchmetrics; 'F1Score' has "
    "beta=1",
    **dict.fromkeys(
        ("mean", "sum", "metric", "meanmetricwrapper"),
        "it does not compare outputs with targets: pass a function of (output, target), whose mean is computed",
    ),
}


def named_metric(name: str, *, weighted: bool) -> Metric:
    """Return the metric called ``name``; the logs use that name, as in Keras.

    Raises:
        TrainingError: no metric has that name.
    """
    short = bare(name)
    if short in AUTO:
        return accuracies.AutoAccuracy(name, weighted=weighted)
    if short == "binaryaccuracy":
        return accuracies.BinaryAccuracy(name, weighted=weighted)
    full = _BY_BARE.get(short)
    if full in KINDS:
        return KINDS[full](name, weighted=weighted)
    if full in MEANS:
        each, direction, reads = MEANS[full]
        return Metric(name, each, direction, weighted=weighted, reads=reads)
    full = full or keras_name(name)
    if full in KERAS and full != "circle":
        reads = "probabilities" if full in _OF_PROBABILITIES else "raw"
        return Metric(name, KERAS[full].function, "min", weighted=weighted, reads=reads)
    way = MISSING.get(short)
    if way is not None:
        raise TrainingError(f"no metric is called {name!r}\n  {way}")
    known = [*AUTO, "binary_accuracy", *MEANS, *KINDS, *(k for k in KERAS if k != "circle"), *list(SHORT)[:6]]
    raise TrainingError(f"no metric is called {name!r}{did_you_mean(name, known, there_are=dict.fromkeys(known))}")


def direction_of(name: str) -> Direction | None:
    """Return the better direction of the metric called ``name``; None if it is unknown."""
    full = _BY_BARE.get(bare(name)) or keras_name(name)
    if full in KINDS:
        return KINDS[full].better
    if full in MEANS:
        return MEANS[full][1]
    if bare(name) in (*AUTO, "binaryaccuracy"):
        return "max"
    return "min" if full in KERAS else None


_BY_BARE = {bare(name): name for name in (*MEANS, *KINDS)} | _ALIASES
