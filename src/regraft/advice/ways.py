"""The ways of training that the advice compares, with their names and the options of `regraft train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Way = Literal[
    "probe",
    "depth",
    "two networks",
    "another network",
    "larger input",
    "feature extraction",
    "upper blocks",
    "all blocks",
]
WAYS: Final[tuple[Way, ...]] = get_args(Way)

TRAINED: Final[tuple[Way, ...]] = ("upper blocks", "all blocks")
"""Ways that change the network itself; the others use it frozen."""


@dataclass(frozen=True)
class WayFacts:
    """Facts about a way.

    Attributes:
        title: its name on the screen, at most 20 characters.
        options: options of `regraft train` that choose it; those that depend on the machine are added by the caller.
        lecture: what the lecture calls it.
    """

    title: str
    lecture: str
    options: dict[str, Any] = field(default_factory=dict)


FACTS: Final[dict[Way, WayFacts]] = {
    "probe": WayFacts("linear probe", "a linear classifier on the top layer", {"recipe": "linear-probe"}),
    "depth": WayFacts(
        "probe at all depths",
        "a linear classifier that also sees earlier layers",
        {"recipe": "linear-probe", "all_depths": True},
    ),
    "two networks": WayFacts(
        "probe, two networks", "a linear classifier on the top layers of two networks", {"recipe": "linear-probe"}
    ),
    "another network": WayFacts(
        "probe, other network", "a linear classifier on the top layer of another network", {"recipe": "linear-probe"}
    ),
    "larger input": WayFacts(
        "probe, larger input", "a linear classifier on the top layer, from larger photos", {"recipe": "linear-probe"}
    ),
    "feature extraction": WayFacts(
        "feature extraction",
        "a new head trained in epochs on the frozen network",
        {"recipe": "feature-extraction"},
    ),
    "upper blocks": WayFacts(
        "upper blocks", "fine-tuning of the upper layers with a very small learning rate", {"recipe": "fine-tune"}
    ),
    "all blocks": WayFacts(
        "all blocks", "fine-tuning of the whole network with a very small learning rate", {"recipe": "fine-tune"}
    ),
}
