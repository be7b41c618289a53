"""Transfer learning in five steps: pretrained network, new head, feature extraction, fine-tuning, prediction.

    python examples/transfer_learning.py             on scans of digits that come with regraft; a minute, no network
    python examples/transfer_learning.py PHOTOS      on your own photos, one folder per class

docs/transfer-learning.md explains every step. Guessing gets 10 % of the digits right. Expect about 90 % from the new
head. Fine-tuning helps more on photos of things: of 34 test photos of digits, one photo is 3 points, so that the two
results may be equal.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import regraft as rg
from regraft.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint
from regraft.sample.digits import write_digits


def transfer(folder: Path, out: Path, backbone: rg.Backbone, epochs: int = 6) -> tuple[float, float]:
    """Train on the photos in ``folder``, save into ``out``, and return the test accuracy of both trainings."""
    # 1. Photos, prepared in the way the pretrained network needs them, and split into train, validation and test.
    augmentation = rg.Augmentation(scale=(0.8, 1.0), flip=False)  # a mirrored 3 is not a 3; for things, flip
    photos = rg.ImageFolder(folder, network=backbone, augmentation=augmentation)
    test = photos.test or photos.validation  # a folder with train/ and val/ has no test photos

    # 2. A new head: a linear layer with one output per class. The body of the network is frozen.
    classifier = rg.Classifier(backbone, photos.classes)

    # 3. Feature extraction: train the head alone.
    trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
    my_callbacks = [EarlyStopping(patience=3, restore_best_weights=True), CSVLogger(out / "head.csv")]
    trainer.fit(photos, epochs=epochs, callbacks=my_callbacks, verbose=2)
    head_only = trainer.evaluate(test, return_dict=True, verbose=0)

    # 4. Fine-tuning: train the upper two blocks as well. Learning rates fall from the head towards the input.
    classifier.unfreeze(2)
    groups = classifier.parameter_groups(3e-4, layer_decay=0.8, weight_decay=0.05, head_lr=1e-3)
    trainer = rg.Trainer(classifier, "adamw", "cross_entropy", ["accuracy"], parameters=groups)
    my_callbacks = [
        EarlyStopping(patience=3, restore_best_weights=True),
        ModelCheckpoint(out / "best.safetensors", monitor="val_loss", save_best_only=True),
        CSVLogger(out / "fine-tuning.csv"),
    ]
    trainer.fit(photos, epochs=epochs, callbacks=my_callbacks, verbose=2)
    fine_tuned = trainer.evaluate(test, return_dict=True, verbose=0)

    # 5. One file holds all that a prediction needs.
    classifier.save(out / "model.safetensors")
    predictor = rg.Predictor.load(out / "model.safetensors")
    for photo in test.entries[:3]:
        prediction = predictor.predict(photo.path)
        print(f"{photo.name}: {prediction.label} ({prediction.probability:.0%})")
    return head_only["accuracy"], fine_tuned["accuracy"]


def main() -> None:
    """Train on the digits, or on the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path, help="folder with one folder of photos per class")
    folder = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        size = None  # that of the pretraining
        if folder is None:
            folder, size = out / "digits", 96  # the scans have 64 x 64 pixels
            write_digits(folder, per_class=40)
        head_only, fine_tuned = transfer(folder, out, rg.build_backbone("tf_efficientnet_lite0", size=size))
    print(f"test accuracy: head alone {head_only:.1%}, head and upper two blocks {fine_tuned:.1%}")


if __name__ == "__main__":
    main()
