"""The head of an earlier run as the start of a training: its rows for the classes that stay (``--weights RUN``)."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.model_file import load_classifier
from regraft.models.own_weights import own_weights


@dataclass(frozen=True)
class EarlierHead:
    """Rows of a head that were taken over.

    Attributes:
        kept: classes whose rows were taken over.
        new: classes that the earlier head did not know.
        gone: classes that only the earlier head knew.
    """

    kept: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def event(self) -> Event | None:
        """Return the event for the journal."""
        return Event("earlier head", {"kept": self.kept, "new": self.new, "gone": self.gone}) if self.kept else None

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if not self.kept:
            return None
        parts = [f"starts from the earlier rows of {', '.join(self.kept)}"]
        parts += [f"new: {', '.join(self.new)}"] if self.new else []
        parts += [f"left out: {', '.join(self.gone)}"] if self.gone else []
        return Line("head", " · ".join(parts))


def take_over_head(context: RunContext, classifier: Classifier) -> EarlierHead:
    """Set the rows of ``classifier``'s head to those of the run that ``--weights`` names, for the classes that stay.

    Nothing is taken over unless that run held back its test photos: its head has seen all others. Rows of new classes
    keep the values that they have. The bias of these is moved by the mean difference of the others, so that the logits
    stay comparable.
    """
    own = None if context.config.weights is None else own_weights(context.config.weights)
    if own is None or not own.held_back:
        return EarlierHead()
    earlier = load_classifier(own.file)
    last = earlier.members[-1] if isinstance(earlier, Ensemble) else earlier
    old_weight, old_bias = (value.cpu() for value in last.linear_head())
    weight, bias = (value.clone() for value in classifier.linear_head())
    if old_weight.shape[1] != weight.shape[1]:
        return EarlierHead()
    now, then = list(classifier.classes), list(last.classes)
    kept = tuple(name for name in now if name in then)
    if not kept:
        return EarlierHead()
    rows, old_rows = [now.index(name) for name in kept], [then.index(name) for name in kept]
    shift = (old_bias[old_rows] - bias[rows].cpu()).mean()
    bias += shift.to(bias)
    weight[rows], bias[rows] = old_weight[old_rows].to(weight), old_bias[old_rows].to(bias)
    classifier.set_head(weight, bias)
    return EarlierHead(kept, tuple(n for n in now if n not in then), tuple(n for n in then if n not in now))
