"""Whether predictions average a photo and its mirror image: where that is seen to help, and is affordable.

It takes twice the work of a prediction (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556, section 3.2, did
so), and is affordable where fine-tuning made the input so much smaller that two passes cost no more than one of the
network's own size.
"""

from __future__ import annotations

from collections.abc import Sequence

from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import log_loss_difference
from regraft.models.classifier import Classifier
from regraft.recipes.job import Job

PLAIN, MIRRORED = 1, 2
"""Views of each photo whose probabilities are averaged."""


def views_at_prediction(job: Job, stage: str, classifier: Classifier, choose: Sequence[Entry]) -> int:
    """Return how many views of each photo the predictions of ``classifier`` average from now on.

    Args:
        job: the training, as it is for fine-tuning.
        stage: what the training is called.
        classifier: as it will be kept.
        choose: photos whose log-loss, at the best temperature of either, decides; it must fall by more than a standard
            error.
    """
    p = job.backbone.spec.preprocessing
    if not choose or job.own_pixels is None or MIRRORED * p.height * p.width > job.own_pixels:
        return PLAIN
    labels, found = job.photos.labels(choose), {}
    with job.screen.progress("mirrored", (PLAIN + MIRRORED) * len(choose)) as bar:
        for views in (PLAIN, MIRRORED):
            predictor = Predictor(classifier, device=job.device.type, workers=job.workers, views=views, own=True)
            scores = predictor.scores(choose, store=job.store, bar=bar)
            if scores.failed:  # a photo is no longer there
                return PLAIN
            found[views] = at_best_temperature(scores.values, labels)
    difference = log_loss_difference(found[PLAIN], found[MIRRORED], labels)
    kept = MIRRORED if difference.value > difference.standard_error else PLAIN
    change = f"{'falls' if difference.value > 0 else 'rises'} by {abs(difference.value):.3f}"
    job.note_once(
        "mirror", "stage", stage=stage, gain=difference.value, standard_error=difference.standard_error, views=kept
    )
    job.screen.line(
        "mirror",
        "predictions average a photo and its mirror image" if kept == MIRRORED else "predictions take the photo alone",
        f"(validation log-loss {change} ± {difference.standard_error:.3f} with both)",
    )
    return kept
