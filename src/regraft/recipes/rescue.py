"""A finished model that cannot be written where it should be goes somewhere else, and is not lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from regraft.errors import StorageError
from regraft.models.model_file import save_classifier
from regraft.recipes.finish import facts_of
from regraft.recipes.job import Job
from regraft.recipes.outcome import Outcome


def rescued(job: Job, outcome: Outcome, error: OSError) -> StorageError:
    """Write the model into ``--rescue-dir``, or else the system's folder for temporary files.

    Args:
        job: the training, which has come to its end.
        outcome: what it gave.
        error: why it could not be written into the run folder.

    Returns:
        The error to raise; its message says where the model is now.
    """
    why = error.strerror or str(error)
    tried = [f"{job.folder.path}: {why}"]
    for base in (job.config.rescue_dir, Path(tempfile.gettempdir())):
        if base is None:
            continue
        try:
            base.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f"{job.folder.path.name}-", dir=base)) / "model.safetensors"
            save_classifier(path, outcome.classifier, facts_of(job, outcome))
        except OSError as other:
            tried.append(f"{base}: {other.strerror or other}")
            continue
        return StorageError(
            f"the result could not be written to {job.folder.path}: {why}\n  the trained model is in {path} instead"
            f"\n  with room on the disk, the same command writes the rest in a moment"
        )
    return StorageError("the trained model could not be written anywhere\n  " + "\n  ".join(tried))
