"""From a training by hand to predictions: files that `Trainer` and `ModelCheckpoint` write are enough to predict."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

import regraft as rg
from making import make_photos
from regraft.callbacks import Callback, ModelCheckpoint, SwapEMAWeights
from regraft.errors import ConfigError, ModelFileError
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums
from regraft.models.model_file import read_metadata, save_classifier
from regraft.training import Trainer

CLASSES = ["zebra", "ant", "10", "2"]  # not in alphabetical order


@pytest.fixture(scope="module")
def backbone(tiny):
    return rg.build_backbone(tiny["backbone"], weights=tiny["weights"], size=tiny["size"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = make_photos(tmp_path_factory.mktemp("photos"), dict.fromkeys(CLASSES, 3))
    return sorted(root.rglob("*.png"))


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 3, 64, 64, generator=generator)
    return x, torch.arange(16) % 4


def classifier_of(backbone, unfreeze=1):
    classifier = Classifier(backbone, CLASSES)
    classifier.unfreeze(unfreeze)
    return classifier


def trainer_of(classifier, **options):
    return Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=0.01, **options)


@pytest.fixture(scope="module")
def trained(backbone):
    trainer = trainer_of(classifier_of(backbone))
    trainer.fit(*data(), epochs=2, batch_size=8, verbose=0)
    return trainer


def expected_of(classifier, photos):
    """Return the probabilities by torch alone: the module in inference mode on photos prepared as its spec says."""
    p = classifier.preprocessing
    from regraft.data.decode import read_photo
    from regraft.data.preprocessing import evaluation_pixels, normalise

    pixels = np.stack([evaluation_pixels(read_photo(path.read_bytes(), at_least=p.at_least), p) for path in photos])
    module = copy.deepcopy(classifier).eval()
    with torch.inference_mode():
        return module(normalise(pixels, p)).double().softmax(dim=1).numpy()


def probabilities(predictor, photos):
    return np.array([[dict(found.top)[name] for name in CLASSES] for found in predictor.predict(photos)])


SUFFIXES = [".safetensors", ".keras", ".h5", ".weights.h5", ".pt"]


@pytest.mark.filterwarnings("ignore:.*regraft's .keras files")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("write", ["save", "save_weights"])
def test_a_file_of_the_trainer_predicts_as_its_classifier(trained, photos, tmp_path, suffix, write):
    file = tmp_path / f"model{suffix}"
    getattr(trained, write)(file)
    predictor = Predictor.load(file)
    assert predictor.classes == tuple(CLASSES)
    assert predictor.classifier.preprocessing == trained.module.preprocessing
    np.testing.assert_allclose(probabilities(predictor, photos), expected_of(trained.module, photos), atol=1e-5)
    loaded = Classifier.load(file)
    assert block_checksums(loaded) == block_checksums(trained.module)


def test_a_saved_classifier_is_a_model_file_as_a_run_writes_it(trained, photos, tmp_path):
    trained.module.save(tmp_path / "new" / "model.safetensors")
    save_classifier(tmp_path / "run.safetensors", trained.module, {})
    written = (tmp_path / "new" / "model.safetensors").read_bytes()
    assert written == (tmp_path / "run.safetensors").read_bytes()
    said = read_metadata(tmp_path / "new" / "model.safetensors")
    assert (said.classes, said.backbone) == (tuple(CLASSES), trained.module.backbone.spec)
    predictor = Predictor.load(tmp_path / "new" / "model.safetensors")
    np.testing.assert_allclose(probabilities(predictor, photos), expected_of(trained.module, photos), atol=1e-5)


def test_the_metadata_of_a_trainers_file_say_what_a_runs_say(trained, tmp_path):
    trained.save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        said = json.loads(file.metadata()["regraft-classifier"])
    assert said["classes"] == CLASSES
    assert said["version"] == rg.__version__
    assert said["backbone"]["name"] == "test_resnet.r160_in1k"
    assert said["backbone"]["preprocessing"]["height"] == 64
    assert "licence" in said["backbone"]


def test_the_trainer_reads_its_file_back_with_the_optimizer(backbone, tmp_path):
    trainer = trainer_of(classifier_of(backbone))
    trainer.fit(*data(), epochs=1, batch_size=8, verbose=0)
    trainer.save(tmp_path / "a.safetensors")
    trainer.fit(*data(), epochs=1, batch_size=8, verbose=0)
    again = trainer_of(classifier_of(backbone))
    again.load(tmp_path / "a.safetensors")
    again.fit(*data(), epochs=1, batch_size=8, verbose=0)
    assert block_checksums(again.module) == block_checksums(trainer.module)


@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_the_best_checkpoint_predicts_what_was_monitored(backbone, photos, tmp_path, weights_only, swap):
    """The file holds the module as it was when it was saved, with the moving average where that was shown."""
    seen = {}

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen[epoch] = expected_of(self.model.module, photos)

    class Measured(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["figure"] = [0.5, 0.1, 0.3][epoch]

    best = ModelCheckpoint(
        tmp_path / "best.safetensors", "figure", save_best_only=True, save_weights_only=weights_only, mode="min"
    )
    shown = [SwapEMAWeights(swap_on_epoch=True)] if swap else []
    trainer = trainer_of(classifier_of(backbone), ema=0.5)
    trainer.fit(*data(), epochs=3, batch_size=8, verbose=0, callbacks=[Measured(), *shown, Watch(), best])
    found = probabilities(Predictor.load(tmp_path / "best.safetensors"), photos)
    np.testing.assert_allclose(found, seen[1], atol=1e-5)
    assert not np.allclose(found, seen[2], atol=1e-4)


def test_a_live_classifier_predicts_as_its_file_and_is_left_alone(backbone, photos, tmp_path):
    classifier = classifier_of(backbone)
    trainer = trainer_of(classifier)
    trainer.fit(*data(), epochs=1, batch_size=8, verbose=0)
    classifier.train()
    modes = [module.training for module in classifier.modules()]
    assert any(modes)
    predictor = Predictor(classifier)
    classifier.save(tmp_path / "m.safetensors")
    then = predictor.predict(photos)
    assert [module.training for module in classifier.modules()] == modes
    assert all(parameter.requires_grad for parameter in classifier.head.parameters())
    assert then == Predictor.load(tmp_path / "m.safetensors").predict(photos)
    later = Predictor(classifier)  # made before, used after the training below
    trainer.fit(*data(), epochs=2, batch_size=8, verbose=0)
    assert predictor.predict(photos) == then == later.predict(photos)
    assert Predictor(classifier).predict(photos) != then


def test_a_predictor_inside_a_batch_hook_leaves_the_training_alone(backbone, photos):
    class Look(Callback):
        def on_train_batch_end(self, batch, logs=None):
            Predictor(self.model.module).predict(photos[0])

    def trained(callbacks):
        torch.manual_seed(0)
        classifier = Classifier(backbone, CLASSES)
        classifier.unfreeze("all", norm_statistics=True)
        trainer_of(classifier).fit(*data(), epochs=1, batch_size=4, verbose=0, callbacks=callbacks)
        return block_checksums(classifier)

    assert trained([Look()]) == trained([])


def test_half_precision_predicts_like_single(trained, photos):
    half = copy.deepcopy(trained.module).bfloat16()
    np.testing.assert_allclose(probabilities(Predictor(half), photos), expected_of(half.float(), photos), atol=1e-5)


def test_going_on_from_a_runs_model(tiny, tmp_path):
    root = make_photos(tmp_path / "photos", {"x": 20, "y": 20})
    run = rg.train(root, out=tmp_path / "run", recipe="linear-probe", screen=rg_quiet(), **tiny)
    for place in (run.folder, run.folder / "model.safetensors"):
        classifier = Classifier.load(place)
        assert classifier.classes == ("x", "y")
        assert (classifier.training, classifier.trainable_blocks) == (False, ())
    before = block_checksums(classifier)
    classifier.unfreeze(1)
    dataset = rg.ImageFolder(root, network=classifier)
    Trainer(classifier, "adam", "cross_entropy").fit(dataset, epochs=1, verbose=0)
    moved = {name for name, checksum in block_checksums(classifier).items() if checksum != before[name]}
    assert moved == {classifier.backbone.blocks[-1].name, "head"}


def rg_quiet():
    from regraft.screen import QuietScreen

    return QuietScreen()


def test_how_a_run_predicts_comes_along_through_load_and_save(trained, photos, tmp_path):
    facts = {"views": "2", "recipe": "fine-tune"}
    save_classifier(tmp_path / "run.safetensors", trained.module, facts)
    classifier = Classifier.load(tmp_path / "run.safetensors")
    classifier.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "run.safetensors").read_bytes()
    of_run = Predictor.load(tmp_path / "run.safetensors")
    assert (of_run.views, Predictor(classifier).views) == (2, 2)
    trainer_of(classifier).save(tmp_path / "trainer.safetensors")
    expected = of_run.predict(photos)
    assert Predictor.load(tmp_path / "trainer.safetensors").predict(photos) == expected
    assert Predictor(classifier, views=1).predict(photos) != expected


def test_load_on_an_object_is_refused_because_its_result_would_be_lost(trained, tmp_path):
    trained.module.save(tmp_path / "m.safetensors")
    with pytest.raises(TypeError, match=r"write classifier = Classifier\.load\(\.\.\.\)"):
        trained.module.load(tmp_path / "m.safetensors")
    with pytest.raises(TypeError, match=r"write predictor = Predictor\.load\(\.\.\.\)"):
        Predictor(trained.module).load(tmp_path / "m.safetensors")
    assert hasattr(trained.module, "load")


@pytest.mark.parametrize("suffix", [".safetensors", ".h5", ".pt"])
def test_weights_without_a_description_say_how_to_add_it(trained, backbone, photos, tmp_path, suffix):
    """As an earlier version wrote them: names and tensors, no classes."""
    file = tmp_path / f"old{suffix}"
    described = Classifier.file_metadata
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "file_metadata", lambda self: {})
        trained.save(file)
    assert Classifier.file_metadata is described
    with pytest.raises(
        ModelFileError, match=r"not its classes and its preprocessing\n(.*\n)+?.*backbone=build_backbone"
    ):
        Predictor.load(file)
    loaded = Classifier.load(file, backbone=backbone, classes=CLASSES)
    assert block_checksums(loaded) == block_checksums(trained.module)
    loaded.save(tmp_path / "model.safetensors")
    assert Predictor.load(tmp_path / "model.safetensors").predict(photos) == Predictor(trained.module).predict(photos)
    with pytest.raises(ModelFileError, match=r"its head does not match its 3 classes \(head.weight: expected \(3, "):
        Classifier.load(file, backbone=backbone, classes=CLASSES[:3])
    other = rg.build_backbone("test_vit", pretrained=False)
    with pytest.raises(ModelFileError, match=r"does not match"):
        Classifier.load(file, backbone=other, classes=CLASSES)


def test_what_contradicts_the_file_is_refused(trained, backbone, tmp_path):
    trained.save(tmp_path / "a.safetensors")
    with pytest.raises(ConfigError, match=r"classes: zebra, ant, 10, 2 in the file, 10, 2, ant, zebra given"):
        Classifier.load(tmp_path / "a.safetensors", classes=sorted(CLASSES))
    larger = rg.build_backbone("test_resnet.r160_in1k", pretrained=False, size=96)
    with pytest.raises(ConfigError, match=r"backbone: test_resnet.r160_in1k of 64x64.* given"):
        Classifier.load(tmp_path / "a.safetensors", backbone=larger)
    assert Classifier.load(tmp_path / "a.safetensors", classes=CLASSES, backbone=backbone).classes == tuple(CLASSES)


def test_files_of_other_modules_are_called_what_they_are(trained, tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    Trainer(net, "sgd", "mse").save(tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match=r"weights of a module that is not a Classifier \(1.bias, 1.weight …\)"):
        Predictor.load(tmp_path / "other.safetensors")
    torch.save(net.state_dict(), tmp_path / "state.pt")
    with pytest.raises(ModelFileError, match="was not written by regraft"):
        Predictor.load(tmp_path / "state.pt")
    torch.save(trained.module, tmp_path / "whole.pt")
    with pytest.raises(ModelFileError, match=r"whole Python object(.|\n)*torch.load\(FILE, weights_only=False\)"):
        Predictor.load(tmp_path / "whole.pt")
    trained.write_state(tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="a snapshot of an interrupted training, not a model"):
        Predictor.load(tmp_path / "a.safetensors")
    with pytest.raises(
        ModelFileError, match=r"contains no model.safetensors(.|\n)*it contains a.safetensors, other.saf"
    ):
        Predictor.load(tmp_path)


def test_the_state_of_a_classifier_from_plain_torch_can_be_described(trained, backbone, tmp_path, photos):
    torch.save(trained.module.state_dict(), tmp_path / "state.pt")
    with pytest.raises(ModelFileError, match="not its classes and its preprocessing"):
        Predictor.load(tmp_path / "state.pt")
    loaded = Classifier.load(tmp_path / "state.pt", backbone=backbone, classes=CLASSES)
    assert block_checksums(loaded) == block_checksums(trained.module)


@pytest.mark.parametrize("place", [100, 1000, -1000])
@pytest.mark.parametrize("suffix", [".safetensors", ".h5", ".pt"])
def test_a_damaged_file_of_the_trainer_is_refused(trained, tmp_path, suffix, place):
    file = tmp_path / f"m{suffix}"
    trained.save_weights(file)
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"damaged|usable|cannot be read|contains"):
        Predictor.load(file)


def test_copies_pickles_and_whole_saves_predict_alike(trained, photos, tmp_path):
    classifier = trained.module
    expected = Predictor(classifier).predict(photos)
    torch.save(classifier, tmp_path / "whole.pt")
    copies = [
        copy.deepcopy(classifier),
        pickle.loads(pickle.dumps(classifier)),
        torch.load(tmp_path / "whole.pt", weights_only=False),
    ]
    for one in copies:
        assert Predictor(one).predict(photos) == expected
        assert one.trainable_blocks == classifier.trainable_blocks
        one.freeze()
        one.train()
        assert not any(module.training for module in one.backbone.network.modules())
    assert classifier.trainable_blocks


def test_weights_go_into_a_plain_network_of_timm_and_back(trained, tmp_path):
    import timm

    classifier = copy.deepcopy(trained.module).eval()
    network = timm.create_model("test_resnet", num_classes=len(CLASSES)).eval()
    missing = network.load_state_dict(classifier.backbone.network.state_dict(), strict=False)
    assert missing == ([f"fc.{name}" for name in ("weight", "bias")], [])
    network.get_classifier().load_state_dict(classifier.head.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), classifier(x))


def test_a_trainers_file_gives_the_weights_of_a_backbone(trained, tmp_path):
    trained.save(tmp_path / "a.safetensors")
    again = rg.build_backbone("test_resnet", weights=tmp_path / "a.safetensors", size=64)
    assert again.weights_hash() == trained.module.backbone.weights_hash()


def test_a_head_that_does_not_fit_is_refused_by_name(backbone, tmp_path):
    classifier = Classifier(backbone, CLASSES)
    features = backbone.spec.num_features
    classifier.head = nn.Linear(features, 7)
    for use in (
        Predictor,
        lambda c: c.save(tmp_path / "m.safetensors"),
        lambda c: trainer_of(c).save(tmp_path / "t.pt"),
    ):
        with pytest.raises(ConfigError, match=f"the head has 7 outputs for {features} features; expected 4 outputs"):
            use(classifier)
    classifier.head = nn.Sequential(nn.Dropout(), nn.Linear(features, 4))
    for use in (Predictor, lambda c: c.save(tmp_path / "m.safetensors")):
        with pytest.raises(ConfigError, match=r"the head is a Sequential; expected one torch.nn.Linear\("):
            use(classifier)
    trainer_of(classifier).save(tmp_path / "t.safetensors")
    with pytest.raises(ModelFileError, match=r"its head is not one linear layer \(it has head.1.bias, head.1.weight\)"):
        Predictor.load(tmp_path / "t.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_head_without_a_bias_has_none(backbone, photos, tmp_path):
    classifier = Classifier(backbone, CLASSES)
    torch.manual_seed(1)
    classifier.head = nn.Linear(backbone.spec.num_features, 4, bias=False)
    classifier.save(tmp_path / "m.safetensors")
    trainer_of(classifier).save(tmp_path / "t.safetensors")
    expected = expected_of(classifier, photos)
    for predictor in (Predictor(classifier), *(Predictor.load(tmp_path / f"{n}.safetensors") for n in "mt")):
        np.testing.assert_allclose(probabilities(predictor, photos), expected, atol=1e-5)


def test_where_a_classifier_is_not_saved(trained, tmp_path):
    classifier = trained.module
    with pytest.raises(ConfigError, match=r"which ends with .safetensors; found '.pt'"):
        classifier.save(tmp_path / "m.pt")
    with pytest.raises(ConfigError, match="found 'no ending'"):
        classifier.save(tmp_path / "m")
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        classifier.save(tmp_path / "d.safetensors")
    classifier.save(tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match="exists; pass overwrite=True"):
        classifier.save(tmp_path / "m.safetensors", overwrite=False)


def test_what_is_no_classifier_is_refused(trained):
    with pytest.raises(ConfigError, match="expected a Classifier, found a Trainer: pass its module"):
        Predictor(trained)
    with pytest.raises(ConfigError, match="expected a Classifier, found a Linear"):
        Predictor(nn.Linear(2, 2))

    class Own(Classifier):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(ConfigError, match="Own overrides forward, which a Predictor does not call"):
        Predictor(Own(trained.module.backbone, CLASSES))


@pytest.mark.slow
def test_a_compiled_classifier_is_saved_as_what_it_is(trained, tmp_path):
    compiled = torch.compile(copy.deepcopy(trained.module))  # nothing is run: only the names of the weights differ
    Trainer(compiled, "sgd", "cross_entropy").save(tmp_path / "c.safetensors")
    assert block_checksums(Classifier.load(tmp_path / "c.safetensors")) == block_checksums(trained.module)


def test_a_checkpoint_of_a_run_predicts_too(tiny, tmp_path):
    root = make_photos(tmp_path / "photos", {"x": 20, "y": 20})
    best = ModelCheckpoint(tmp_path / "epoch.safetensors")
    rg.train(
        root, out=tmp_path / "run", recipe="fine-tune", unfreeze=1, epochs=1, split="60/20/20", callbacks=[best],
        screen=rg_quiet(), **tiny,
    )  # fmt: skip
    predictor = Predictor.load(tmp_path / "epoch.safetensors")
    assert predictor.classes == ("x", "y")
    assert predictor.classifier.preprocessing.height <= 64
    assert predictor.predict(root / "x" / "photo 000.png").label in ("x", "y")


def test_the_trainer_refuses_a_file_of_the_same_classes_in_another_order(trained, backbone, tmp_path):
    """The tensors fit, and every name would be wrong."""
    trained.save(tmp_path / "a.safetensors")
    trained.save_weights(tmp_path / "b.h5")
    other = trainer_of(Classifier(backbone, sorted(CLASSES)))
    before = block_checksums(other.module)
    for use, name in (
        (other.load, "a.safetensors"),
        (other.load_weights, "a.safetensors"),
        (other.load_weights, "b.h5"),
    ):
        with pytest.raises(ModelFileError, match=r"classes: zebra, ant, 10, 2 in the file, 10, 2, ant, zebra here"):
            use(tmp_path / name)
    assert block_checksums(other.module) == before
    larger = rg.build_backbone("test_resnet.r160_in1k", pretrained=False, size=96)
    again = trainer_of(Classifier(larger, CLASSES))
    again.load_weights(tmp_path / "a.safetensors")  # trained on at another size
    assert block_checksums(again.module) == block_checksums(trained.module)


def test_the_trainer_says_how_a_model_file_is_read(trained, tmp_path):
    trained.module.save(tmp_path / "model.safetensors")
    with pytest.raises(
        rg.WeightsError, match=r"does not fit the module: it is a model file\n  Classifier.load\(FILE\) reads it"
    ):
        trained.load_weights(tmp_path / "model.safetensors")


def test_a_head_that_does_not_fit_is_found_before_the_first_step(backbone):
    classifier = Classifier(backbone, CLASSES)
    classifier.head = nn.Linear(backbone.spec.num_features, 7)
    trainer = trainer_of(classifier)
    with pytest.raises(ConfigError, match="the head has 7 outputs"):
        trainer.fit(*data(), verbose=0)
    assert trainer.optimizer.iterations == 0


def test_a_device_may_be_torchs(trained, photos):
    assert Predictor(trained.module, device=torch.device("cpu")).predict(photos[0]).label in CLASSES
    with pytest.raises(ConfigError, match="device gpu is not available on this machine"):
        Predictor(trained.module, device="gpu")
    for views in ("2", 0, 1.5, True):
        with pytest.raises(ConfigError, match="views: expected a positive number, found"):
            Predictor(trained.module, views=views)


def test_a_pickle_of_an_earlier_version_has_no_facts(trained, photos):
    state = {name: value for name, value in trained.module.__dict__.items() if name != "facts"}
    older = Classifier.__new__(Classifier)
    older.__setstate__(state)
    assert Predictor(older).predict(photos) == Predictor(trained.module).predict(photos)


def test_weights_of_a_classifier_bring_their_normalisation(trained, tmp_path):
    """A name without a tag would mean the preprocessing of other weights."""
    from dataclasses import replace

    classifier = copy.deepcopy(trained.module)
    odd = replace(classifier.preprocessing, mean=(0.1, 0.2, 0.3), crop_pct=0.5)
    classifier.backbone.spec = replace(classifier.backbone.spec, preprocessing=odd)
    classifier.save(tmp_path / "m.safetensors")
    trainer_of(classifier).save(tmp_path / "t.safetensors")
    for name in ("m", "t"):
        again = rg.build_backbone("test_resnet", weights=tmp_path / f"{name}.safetensors", size=96)
        assert again.preprocessing == replace(odd, height=96, width=96)
