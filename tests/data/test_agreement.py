"""Photos and network agree: a data set takes its preprocessing and classes from the network, or the trainer refuses."""

from __future__ import annotations

import copy
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset

import regraft as rg
from making import make_photos
from regraft.data.agreement import network_requirements
from regraft.data.photo_set import PhotoSet
from regraft.data.preprocessing import Preprocessing
from regraft.errors import ConfigError, PhotosError
from regraft.models.timm_import import import_timm
from regraft.screen import QuietScreen

QUIET = QuietScreen()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), {"ant": 12, "bee": 12, "fly": 12})


@pytest.fixture(scope="module")
def backbone() -> rg.Backbone:
    return rg.build_backbone("resnet18", pretrained=False, size=48)


class Spy:
    """A screen that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def line(self, *args: Any, **kwargs: Any) -> None:
        return None


def trainer_of(module: nn.Module, screen: Any = QUIET) -> rg.Trainer:
    return rg.Trainer(module, "sgd", "cross_entropy", ["accuracy"], learning_rate=0.01, screen=screen)


def test_a_data_set_takes_its_preprocessing_from_the_network(root: Path, backbone: rg.Backbone) -> None:
    classifier = rg.Classifier(backbone, ["fly", "ant", "bee"])
    for network in (backbone, classifier, nn.Sequential(backbone, nn.Linear(3, 3))):
        photos = rg.ImageFolder(root, network=network)
        assert photos.preprocessing == backbone.spec.preprocessing
        assert photos.validation is not None
        assert photos.validation.preprocessing == backbone.spec.preprocessing
    photos = rg.ImageFolder(root, network=classifier)
    assert photos.classes == ("fly", "ant", "bee")
    assert {(e.label, photos.classes[i]) for e, i in zip(photos.entries, photos.labels, strict=True)} == {
        (name, name) for name in ("ant", "bee", "fly")
    }
    assert photos.preprocessing.mean == (0.485, 0.456, 0.406)  # not 0.5 whatever the network is


def test_a_network_of_timm_says_its_own_preprocessing(root: Path) -> None:
    timm = import_timm()
    from timm.data import resolve_data_config

    network = timm.create_model("mobilenetv3_small_050", num_classes=3)
    photos = rg.ImageFolder(root, network=network)
    config = resolve_data_config({}, model=network)
    p = photos.preprocessing
    assert (p.mean, p.std, p.interpolation) == (config["mean"], config["std"], config["interpolation"])
    assert (p.height, p.width, p.crop_pct) == (*config["input_size"][1:], config["crop_pct"])


def test_a_hand_made_training_and_a_predictor_see_the_same_pixels(root: Path, backbone: rg.Backbone) -> None:
    photos = rg.ImageFolder(root, network=backbone)
    classifier = rg.Classifier(backbone, photos.classes)
    classifier.unfreeze(1)
    trainer = trainer_of(classifier)
    trainer.fit(photos, epochs=1, batch_size=8, verbose=0)
    assert photos.validation is not None
    logits = torch.from_numpy(trainer.predict(photos.validation, verbose=0))
    found = rg.Predictor(classifier).predict([entry.path for entry in photos.validation.entries])
    ours = np.array([[dict(one.top)[name] for name in photos.classes] for one in found])
    np.testing.assert_allclose(ours, logits.double().softmax(dim=1).numpy(), atol=1e-5)


def wrapped(photos: PhotoSet) -> dict[str, Any]:
    everything: Any = photos
    return {
        "itself": photos,
        "batches": photos.batches(8, shuffle=True),
        "loader": DataLoader(everything, 8),
        "loader of a subset": DataLoader(Subset(everything, [0, 1, 2]), 8),
        "concatenation": ConcatDataset([everything, everything]),
    }


@pytest.mark.parametrize("way", [*wrapped(PhotoSet([], ["a", "b"], Preprocessing())), "validation"])
def test_photos_that_are_prepared_otherwise_are_refused_before_the_first_step(
    root: Path, backbone: rg.Backbone, way: str
) -> None:
    classifier = rg.Classifier(backbone, ["ant", "bee", "fly"])
    wrong = rg.ImageFolder(root, size=48)
    trainer = trainer_of(classifier)
    before = copy.deepcopy(classifier.state_dict())
    expected = (
        r"not prepared as the Classifier needs them: (?:\d problems)?(?s:.)*"
        r"mean: \(0.485, 0.456, 0.406\) for the network, \(0.5, 0.5, 0.5\) in the data set"
        r"(?s:.)*ImageFolder\(folder, network=classifier\)"
    )
    if way == "validation":
        right = rg.ImageFolder(root, network=classifier)
        with pytest.raises(ConfigError, match=expected):
            trainer.fit(right, validation_data=wrong, verbose=0)
    else:
        data = wrapped(wrong)[way]
        for use in (trainer.fit, trainer.evaluate, trainer.predict, trainer.find_lr):
            with pytest.raises(ConfigError, match=expected):
                use(data)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_all_that_differs_is_named(root: Path, backbone: rg.Backbone) -> None:
    classifier = rg.Classifier(backbone, ["bee", "ant", "fly"])
    with pytest.raises(ConfigError) as caught:
        trainer_of(classifier).evaluate(rg.ImageFolder(root, size=32))
    text = str(caught.value)
    for part in (
        "height: 48 for the network, 32 in",
        "mean: ",
        "std: ",
        "classes: bee, ant, fly for the network, ant, b",
    ):
        assert part in text


def test_the_same_classes_in_another_order_are_refused(root: Path, backbone: rg.Backbone) -> None:
    """Else every photo would be learnt under another name, and nothing would show it."""
    photos = rg.ImageFolder(root, network=backbone)
    for classes in (["bee", "ant", "fly"], ["ant", "bee", "fly", "wasp"], ["ant", "bee"]):
        with pytest.raises(ConfigError, match=r"classes: .* for the network, ant, bee, fly in the data set"):
            trainer_of(rg.Classifier(backbone, classes)).fit(photos, verbose=0)


def test_timm_weights_with_another_normalisation_are_a_warning(root: Path) -> None:
    network = import_timm().create_model("resnet18", num_classes=3)
    spy = Spy()
    trainer_of(network, spy).evaluate(rg.ImageFolder(root, size=48), verbose=0)
    (warning,) = spy.warnings
    assert warning == (
        "photos are normalized with mean (0.5, 0.5, 0.5) and std (0.5, 0.5, 0.5); the pretrained weights of resnet18 "
        "need mean (0.485, 0.456, 0.406) and std (0.229, 0.224, 0.225): ImageFolder(folder, network=module) has these"
    )
    spy = Spy()
    trainer_of(network, spy).evaluate(rg.ImageFolder(root, network=network), verbose=0)
    trainer_of(nn.Sequential(nn.Flatten(), nn.Linear(48 * 48 * 3, 3)), spy).evaluate(
        rg.ImageFolder(root, size=48), verbose=0
    )
    assert spy.warnings == []


def test_who_says_nothing_of_photos() -> None:
    assert network_requirements(nn.Linear(2, 2)) is None
    assert network_requirements("resnet18") is None


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"augmentation": True}, r"augmentation: expected None or an Augmentation, such as .*, found True"),
        ({"size": "224"}, "size: expected the pixels of a square's side such as 224, found '224'"),
        ({"size": (224, 224)}, r"found \(224, 224\); for other shapes give preprocessing=Preprocessing"),
        ({"size": 0}, "found 0"),
        ({"size": True}, "found True"),
        ({"mean": 0.5}, r"mean: expected three numbers in \[0, 1\], one per channel, found 0.5"),
        ({"mean": (123.7, 116.3, 103.5)}, "mean: expected three numbers in"),
        ({"std": (0.2, 0.0, 0.2)}, "std: expected three numbers"),
        ({"split": "train"}, "split: expected train/validation/test such as 80/10/10, found 'train'; the sides"),
        ({"split": (0.5, 0.5)}, r"split: expected train/validation/test such as 80/10/10, found \(0.5, 0.5\)"),
        ({"split": (0.5, 0.6, 0.2)}, "expected three parts of 100 with train above 0, found 0.5/0.6/0.2"),
        ({"split": 0.2}, "found 0.2"),
        ({"seed": -1}, "seed: expected a whole number from 0, found -1"),
        ({"split_seed": "a"}, "split_seed: expected a whole number"),
        ({"workers": -1}, "workers: expected a number of threads from 0, or None, found -1"),
        ({"check": 1}, "check: expected True or False, found 1"),
        ({"preprocessing": "resnet18"}, "preprocessing: expected a Preprocessing, found 'resnet18'"),
        ({"preprocessing": Preprocessing(), "size": 64}, "preprocessing sets size; remove one of them"),
        ({"network": "resnet18"}, "network: expected a Backbone, a Classifier or a network of timm, found 'resnet18'"),
        ({"labels": 3}, "labels: expected the path of a CSV or Excel file, a data frame, or None, found 3"),
        ({"classes": "ant"}, "classes: expected the names of the classes in the order of the outputs"),
        ({"classes": {"ant": 0, "bee": 1, "fly": 2}}, r"found a dict; of \{name: index\}, sorted\(d, key=d.get\)"),
        ({"classes": ["ant", "bee", "bee"]}, "two or more different classes, not .*; 'bee' appears twice"),
        ({"classes": ["ant", "bee", "flie"]}, "'fly' has photos but is not one of those in classes; did you mean"),
        ({"classes": ["ant", "bee", "flie"]}, r"'flie' has no photos; did you mean 'fly'"),
        ({"classes": ["ant", "bee"]}, "'fly' has photos but is not one of those in classes"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_when_the_object_is_made(root: Path, options: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        rg.ImageFolder(root, **options)


def test_all_wrong_arguments_are_named_at_once_before_any_photo_is_read() -> None:
    with pytest.raises(ConfigError) as caught:
        rg.ImageFolder("no such folder", augmentation=True, size="224", split="val", workers=-2)  # type: ignore[arg-type]
    lines = str(caught.value).splitlines()
    assert lines[0] == "ImageFolder: 4 problems"
    assert [line.strip().split(":")[0] for line in lines[1:]] == ["size", "augmentation", "workers", "split"]


def test_a_network_in_the_place_of_the_labels_is_understood(root: Path, backbone: rg.Backbone) -> None:
    with pytest.raises(ConfigError, match=r"labels: expected the path .*; pass a network as network="):
        rg.ImageFolder(root, backbone)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="network sets the preprocessing; remove size, mean"):
        rg.ImageFolder(root, network=backbone, size=64, mean=(0.5, 0.5, 0.5))


def test_classes_decide_the_order_of_the_labels(root: Path) -> None:
    photos = rg.ImageFolder(root, size=8, classes=np.array(["fly", "ant", "bee"]))
    assert photos.classes == ("fly", "ant", "bee")
    assert {photos.classes[i] == e.label for e, i in zip(photos.entries, photos.labels, strict=True)} == {True}


def test_a_classifier_may_have_classes_without_photos_but_not_the_other_way_round(
    root: Path, backbone: rg.Backbone
) -> None:
    many = rg.Classifier(backbone, ["wasp", "fly", "bee", "ant"])
    photos = rg.ImageFolder(root, network=many)
    assert (photos.classes, set(photos.labels.tolist())) == (many.classes, {1, 2, 3})
    trainer_of(many).evaluate(photos, verbose=0)
    few = rg.Classifier(backbone, ["ant", "bee"])
    with pytest.raises(ConfigError, match="'fly' has photos but is not one of the classifier's"):
        rg.ImageFolder(root, network=few)


def test_spellings_of_one_name_are_one_class(tmp_path: Path, backbone: rg.Backbone) -> None:
    name = unicodedata.normalize("NFD", "bée")
    make_photos(tmp_path, {"ant": 8, name: 8})
    classifier = rg.Classifier(backbone, ["ant", unicodedata.normalize("NFC", "bée")])
    photos = rg.ImageFolder(tmp_path, network=classifier)
    assert set(photos.labels.tolist()) == {0, 1}
    trainer_of(classifier).evaluate(photos, verbose=0)
    trainer_of(classifier).evaluate(rg.ImageFolder(tmp_path, network=backbone), verbose=0)


@pytest.mark.parametrize("size", [0, -1, "32", 1.5, True, None])
def test_batch_sizes(root: Path, size: Any) -> None:
    with pytest.raises(ConfigError, match=r"batch_size must be positive, not .*: expected a whole number such as 32"):
        rg.ImageFolder(root, size=8, check=False).batches(size)


def test_skipped_photos_are_reported(root: Path, tmp_path: Path) -> None:
    make_photos(tmp_path, {"ant": 12, "bee": 12})
    (tmp_path / "ant" / "cut.png").write_bytes((tmp_path / "ant" / "photo 000.png").read_bytes()[:200])
    (tmp_path / "bee" / "note.jpg").write_text("no photo")
    spy = Spy()
    photos = rg.ImageFolder(tmp_path, size=8, screen=spy)  # type: ignore[arg-type]
    warning = spy.warnings[0]
    assert warning.startswith("2 photos are skipped (ant/cut.png: truncated")
    assert "bee/note.jpg: not a photo" in warning
    assert photos.notes == tuple(spy.warnings)
    assert len(photos) + len(photos.validation or ()) + len(photos.test or ()) == 24


def test_real_photos_with_workers(photos_root: Path, backbone: rg.Backbone) -> None:
    photos = rg.ImageFolder(photos_root / "hymenoptera", network=backbone, check=False)
    loader: Any = DataLoader(photos, 64, num_workers=2)  # type: ignore[arg-type]
    labels = torch.cat([y for _, y in loader])
    assert labels.tolist() == photos.labels.tolist()
    assert len(labels) == 245


def test_a_folder_around_the_folder_is_named(root: Path, tmp_path: Path) -> None:
    make_photos(tmp_path / "outer", {"inner/ant": 3, "inner/bee": 3})
    with pytest.raises(PhotosError, match=r"one class only: inner(?s:.)*perhaps .*inner   whose folders are ant, bee"):
        rg.ImageFolder(tmp_path / "outer")
    with pytest.raises(PhotosError, match="is empty"):
        (tmp_path / "none").mkdir()
        rg.ImageFolder(tmp_path / "none")


def test_views_are_new_in_every_epoch_of_a_plain_loader(root: Path) -> None:
    """Nobody sets the epoch of a data set in a loop of their own."""
    photos: Any = rg.ImageFolder(root, size=16, augmentation=rg.Augmentation())

    def epochs(workers: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        loader: Any = DataLoader(photos, 16, num_workers=workers, persistent_workers=workers > 0)
        return [torch.cat([x for x, _ in loader]) for _ in range(2)]

    for workers in (0, 2):
        first, second = epochs(workers)
        assert not torch.equal(first, second)
        assert all(torch.equal(a, b) for a, b in zip(epochs(workers), (first, second), strict=True))
    photos.epoch = 3
    first, second = epochs(0)
    assert torch.equal(first, second)
    assert torch.equal(first, torch.cat([x for x, _ in photos.batches(16).epoch(3)]))
    plain = rg.ImageFolder(root, size=16)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    plain[0]
    assert torch.equal(torch.rand(1), expected)  # without views nothing is drawn


def test_a_training_with_validation_split_has_new_views_too(root: Path) -> None:
    photos: Any = rg.ImageFolder(root, size=16, augmentation=rg.Augmentation())
    seen = []

    class Watch(rg.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.batch[0].clone())

    net = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 3, 3))
    trainer_of(net).fit(photos, epochs=2, validation_split=0.5, shuffle=False, verbose=0, callbacks=[Watch()])
    assert not torch.equal(seen[0], seen[1])


class Named(torch.utils.data.Dataset[Any]):
    """A data set as torchvision's: names of classes, and nothing of its preprocessing."""

    def __init__(self, classes: list[Any]) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(3, 48, 48), i % 2


def test_data_sets_of_others_are_compared_by_their_names(backbone: rg.Backbone) -> None:
    trainer = trainer_of(rg.Classifier(backbone, ["bee", "ant"]))
    for classes in (["ant", "bee"], ["ant", "bee", "fly"]):
        for data in (Named(classes), DataLoader(Named(classes), 4), Subset(Named(classes), [0, 1])):
            with pytest.raises(
                rg.TrainingError, match=r"data set are ant, bee.*, those of the module bee, ant: expected"
            ):
                trainer.evaluate(data)
    for same in (["bee", "ant"], ["Biene", "Ameise"], [0, 1, 2], []):
        trainer.evaluate(Named(same), verbose=0)


def test_numbers_may_come_as_arrays_and_tensors(root: Path) -> None:
    mean, std = np.array([0.1, 0.2, 0.3]), torch.tensor([0.25, 0.5, 0.75])
    photos = rg.ImageFolder(root, size=np.int64(8), mean=mean, std=std, check=False)  # type: ignore[arg-type]
    assert photos.preprocessing == Preprocessing(8, 8, mean=(0.1, 0.2, 0.3), std=(0.25, 0.5, 0.75))


@pytest.mark.parametrize("index", [slice(0, 2), "0", True, 1.0])
def test_what_is_no_index(root: Path, index: Any) -> None:
    with pytest.raises(TypeError, match=r"must be an integer, found .*Subset\(photos, range\(10\)\)"):
        rg.ImageFolder(root, size=8, check=False)[index]


def test_a_trainer_in_the_place_of_its_module_is_understood(root: Path, backbone: rg.Backbone) -> None:
    trainer = trainer_of(rg.Classifier(backbone, ["ant", "bee", "fly"]))
    with pytest.raises(ConfigError, match="found a Trainer; pass its module"):
        rg.ImageFolder(root, network=trainer)
    with pytest.raises(ConfigError, match=r"found <class 'regraft.models.classifier.Classifier'>"):
        rg.ImageFolder(root, network=rg.Classifier)
