"""The linear probe: a linear classifier, solved to its optimum, on the features of the frozen backbone.

Features are standardized, and the standardization is folded into the head afterwards. Cross-validation on the
photos of the fit chooses the regularization. The figure reported for these photos comes from nested cross-validation,
so that no photo takes part in a choice that it measures (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91). See Alain and Bengio 2016,
https://arxiv.org/abs/1610.01644, and Kornblith et al. 2019, https://arxiv.org/abs/1805.08974. With ``all_depths`` the
features also are pooled activations of all blocks (`regraft.probe.depth_probe`).
"""

from __future__ import annotations

from regraft.context.run_context import RunContext
from regraft.recipes.result import RecipeResult, probe_result
from regraft.recipes.steps.solve_all_depths import solve_depth_probe
from regraft.recipes.steps.solve_probe import solve_pooled_probe


def run(context: RunContext) -> RecipeResult:
    """Solve the linear probe; with few photos and no given split, on all of them."""
    photos = context.parts.linear.refit
    if context.config.all_depths:
        solved = solve_depth_probe(context, photos)
        context.report(solved)
        return probe_result(solved.context, solved.probe, depth_scale=solved.scale)
    views = 1 if context.config.views is None else context.config.views
    probe = solve_pooled_probe(context, photos, views)
    context.report(*probe.reports())
    return probe_result(context, probe.probe)
