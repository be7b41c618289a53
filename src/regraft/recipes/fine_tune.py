"""Fine-tuning from the solved linear probe (LP-FT): some or all blocks trained with small, layer-wise learning rates.

The head starts at the optimum for the frozen features, so that its first gradients do not distort the backbone (Kumar
et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
https://arxiv.org/abs/2202.10054). Learning rates decay from block to block towards the bottom (Clark et al. 2020,
https://arxiv.org/abs/2003.10555; Bao et al. 2021, https://arxiv.org/abs/2106.08254), warm up and follow a half cosine.
Normalization statistics stay those of the pretraining. The latest epoch that is as good as the best is kept.
On the straight line from the starting weights to those of this epoch, the point that is best on the same validation
photos becomes the result (`after_training`).
"""

from __future__ import annotations

from dataclasses import replace

from regraft.context.run_context import RunContext
from regraft.recipes.result import RecipeResult
from regraft.recipes.steps.earlier_head import take_over_head
from regraft.recipes.steps.fine_tuning import fine_tune
from regraft.recipes.steps.input_size import at_input_size
from regraft.recipes.steps.mix_with_probe import mix_with_probe
from regraft.recipes.steps.solve_probe import solve_probe
from regraft.recipes.steps.trainers import pretrained_classifier
from regraft.recipes.steps.tuning_plan import plan_from_options


def run(context: RunContext) -> RecipeResult:
    """Fine-tune as the options say, even if the probe is better; the figures of both are reported.

    Of several networks the first is fine-tuned, and mixed with the linear probe on all of them.
    """
    parts = context.parts.gradient
    probe = solve_probe(context, parts.train_and_validation, nested=True)
    context.report(probe)

    sized = at_input_size(context)
    context.report(sized)
    head = solve_probe(sized.context, parts.train, nested=False, label="start")
    context.report(head)

    classifier = pretrained_classifier(sized.context, head.probe)
    context.report(take_over_head(context, classifier))
    plan = plan_from_options(context.config)
    classifier.unfreeze(plan.unfreeze)
    tuned = fine_tune(sized, plan, classifier, parts.train, parts.validation)
    result = RecipeResult(
        chosen="fine-tune",
        classifier=tuned.classifier,
        parts=parts,
        probe=probe.probe,
        cross_validated_probe=probe.probe,
        out_of_fold_photos=parts.train_and_validation,
        headline_out_of_fold=False,
        freeze=tuned.freeze,
        views=tuned.views,
        facts=tuned.facts,
    )
    if len(context.features.networks) == 1:
        return result
    mix = mix_with_probe(context, probe.probe, parts.train_and_validation, tuned)
    context.report(mix)
    facts = {**tuned.facts, "share_of_fine_tuned": mix.share}
    return replace(result, classifier=mix.classifier, freeze=mix.freeze, facts=facts)
