"""The linear probe: a linear classifier, solved to its optimum, on the features of the frozen backbone.

Features are standardised, and the standardisation is folded into the head afterwards. Regularisation is chosen by
cross-validation inside the photos that it is fitted on; the figure reported for them is nested, so that no choice has
looked at the photo it is measured on (Varma and Simon 2006, https://doi.org/10.1186/1471-2105-7-91). See Alain and
Bengio 2016, https://arxiv.org/abs/1610.01644, and Kornblith et al. 2019, https://arxiv.org/abs/1805.08974.
"""

from __future__ import annotations

from regraft.context.dataset import Parts, linear_parts
from regraft.context.run_context import Job
from regraft.models.freeze_ledger import freeze_ledger
from regraft.probe.linear_probe import Probe
from regraft.recipes.result import Outcome
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe


def run(job: Job) -> Outcome:
    """Solve the linear probe; with few photos and no given split, on all of them."""
    parts = linear_parts(job.photos)
    views = 1 if job.config.views is None else job.config.views
    return outcome_of(job, parts, solve_probe(job, parts.refit, nested=True, views=views))


def outcome_of(job: Job, parts: Parts, probe: Probe, **said: str) -> Outcome:
    """Return the outcome that ships ``probe``, which was fitted on ``parts.refit`` with a nested search."""
    classifier = probe_classifier(job, probe)
    return Outcome(
        chosen="linear-probe",
        classifier=classifier,
        parts=parts,
        probe=probe,
        cross_validated=probe,
        folded=parts.refit,
        headline_out_of_fold=parts.report_side is None,
        freeze=freeze_ledger(classifier, None, {}),
        said=dict(said),
    )
