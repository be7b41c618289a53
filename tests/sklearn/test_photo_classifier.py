"""`PhotoClassifier` and `PhotoFeatures`: photos in every form, and what scikit-learn does with estimators."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sklearn = pytest.importorskip("sklearn", reason="the extra sklearn is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

import regraft  # noqa: E402
from making import make_photos  # noqa: E402
from regraft.errors import BackboneError, ConfigError, PhotosError, WeightsError  # noqa: E402
from regraft.sklearn import PhotoClassifier, PhotoFeatures, shared_networks  # noqa: E402
from tiny_network import tiny  # noqa: E402, F401


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[Path]:
    root = make_photos(tmp_path_factory.mktemp("sklearn"), {"ant": 9, "bee": 9}, noise=10.0)
    return sorted(root.rglob("*.png"))


@pytest.fixture(scope="module")
def labels(paths) -> list[str]:
    return [path.parent.name for path in paths]


@pytest.fixture
def model(tiny) -> PhotoClassifier:  # noqa: F811
    return PhotoClassifier(**tiny, C=0.01, engine="eager fp32")


def arrays(paths):
    return np.stack([np.asarray(Image.open(path)) for path in paths])


QUICK = ("paths", "column", "bytes", "arrays")

FORMS = {
    "paths": lambda paths: paths,
    "texts": lambda paths: [str(path) for path in paths],
    "array of texts": lambda paths: np.array([str(path) for path in paths]),
    "array of objects": lambda paths: np.array(paths, dtype=object),
    "column": lambda paths: np.array([str(path) for path in paths], dtype=object)[:, None],
    "bytes": lambda paths: [path.read_bytes() for path in paths],
    "PIL images": lambda paths: [Image.open(path).convert("RGB") for path in paths],
    "arrays": arrays,
    "list of arrays": lambda paths: list(arrays(paths)),
    "tensors": lambda paths: torch.from_numpy(arrays(paths)).permute(0, 3, 1, 2),
    "tuple": tuple,
}


@pytest.mark.parametrize(
    "form", [form if form in QUICK else pytest.param(form, marks=pytest.mark.slow) for form in FORMS]
)
def test_every_form_of_the_photos_gives_the_same_answer(form, model, paths, labels):
    model.fit(paths, labels)
    expected = model.predict_proba(paths)
    assert np.allclose(model.predict_proba(FORMS[form](paths)), expected, atol=1e-6)
    again = clone(model).fit(FORMS[form](paths), labels)
    assert np.allclose(again.predict_proba(paths), expected, atol=1e-4)


def test_a_column_of_pandas_is_photos(model, paths, labels):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"photo": [str(path) for path in paths], "label": labels})
    model.fit(frame["photo"], frame["label"])
    assert model.score(frame[["photo"]], frame["label"]) == model.score(paths, labels)


@pytest.mark.parametrize("names", [[3, 7], [True, False], ["ä", "b"], [np.int8(1), np.int8(0)]])
def test_classes_are_of_any_kind(model, paths, labels, names):
    y = [names[label == "bee"] for label in labels]
    model.fit(paths, y)
    assert list(model.classes_) == sorted(names)
    assert set(model.predict(paths).tolist()) <= set(names)
    assert model.decision_function(paths).shape == (18,)
    assert model.predict_proba(paths).sum(axis=1) == pytest.approx(1)


def test_a_clone_has_the_parameters_and_no_state(model, paths, labels):
    copied = clone(model.fit(paths, labels))
    assert copied.get_params() == model.get_params()
    assert not hasattr(copied, "classes_")
    assert copied.set_params(C=1.0).C == 1.0


def test_a_pickle_answers_the_same_and_has_no_weights_of_the_network(model, paths, labels):
    data = pickle.dumps(model.fit(paths, labels))
    assert len(data) < 100_000
    assert np.array_equal(pickle.loads(data).predict_proba(paths), model.predict_proba(paths))


def test_joblib_dumps_and_loads(model, paths, labels, tmp_path):
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    joblib.dump(model.fit(paths, labels), tmp_path / "model.joblib")
    assert np.array_equal(joblib.load(tmp_path / "model.joblib").predict(paths), model.predict(paths))


def test_weights_that_have_changed_are_refused(tiny, paths, labels, tmp_path):  # noqa: F811
    import safetensors.torch

    file = tmp_path / "own.safetensors"
    tensors = safetensors.torch.load_file(str(tiny["weights"]))
    safetensors.torch.save_file(tensors, str(file))
    model = PhotoClassifier(**{**tiny, "weights": file}, C=0.01).fit(paths, labels)
    changed = {name: tensor * 1.01 for name, tensor in tensors.items()}
    safetensors.torch.save_file(changed, str(tmp_path / "new.safetensors"))
    (tmp_path / "new.safetensors").replace(file)
    with pytest.raises(WeightsError, match="its weights are not those of fit"):
        model.predict(paths)
    file.unlink()
    with pytest.raises(WeightsError, match=r"weights: .*own\.safetensors cannot be read"):
        model.predict(paths)


def test_groups_go_through_the_splitters_of_scikit_learn(model, paths, labels):
    groups = [i % 3 for i in range(18)]
    assert len(cross_val_score(model, paths, labels, groups=groups, cv=GroupKFold(3))) == 3


def test_a_search_decodes_each_photo_once(model, paths, labels, monkeypatch, tmp_path):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    decoded = []
    read = regraft.data.loading.photo_task.read_photo
    monkeypatch.setattr(
        "regraft.data.loading.photo_task.read_photo", lambda data, **more: decoded.append(1) or read(data, **more)
    )
    search = GridSearchCV(model, {"C": [1e-4, 1e-2, 1.0]}, cv=3).fit(paths, labels)
    assert search.best_score_ > 0.5
    assert len(decoded) == 18


def test_features_go_into_any_classifier(tiny, paths, labels):  # noqa: F811
    pipeline = make_pipeline(PhotoFeatures(**tiny), LogisticRegression(max_iter=500))
    assert cross_val_score(pipeline, paths, labels, cv=3).mean() > 0.5
    fitted = pipeline.fit(paths, labels)[0]
    assert len(fitted.get_feature_names_out()) == fitted.n_features_out_ == fitted.transform(paths[:1]).shape[1]


def test_equal_photos_stay_in_one_fold_where_c_is_chosen(tiny, paths, labels):  # noqa: F811
    model = PhotoClassifier(**tiny).fit([*paths, *paths], [*labels, *labels])
    assert np.isfinite(model.probe_.C_)
    assert model.features_.fit_with_contents(paths)[1] == model.features_.fit_with_contents(paths)[1]


def test_sample_weights_reach_the_probe(model, paths, labels):
    weight = np.where(np.array(labels) == "ant", 1.0, 1e-3)
    plain, weighted = clone(model).fit(paths, labels), clone(model).fit(paths, labels, sample_weight=weight)
    assert weighted.predict_proba(paths)[:, 0].mean() > plain.predict_proba(paths)[:, 0].mean() + 0.1


def test_the_classifier_of_regraft_answers_the_same(model, paths, labels, tmp_path):
    model.fit(paths, labels).to_classifier().save(tmp_path / "model.safetensors")
    predictor = regraft.Predictor.load(tmp_path / "model.safetensors")
    assert predictor.classes == ("ant", "bee")
    answers = [dict(one.top)["bee"] for one in predictor.predict(paths)]
    assert np.allclose(answers, model.predict_proba(paths)[:, 1], atol=1e-5)


def test_classes_of_one_text_have_no_classifier_of_regraft(model, paths, labels):
    model.fit(paths, [1 if label == "ant" else 2 for label in labels])
    model.classes_ = np.array([1, "1"], dtype=object)
    with pytest.raises(ConfigError, match="expected different names"):
        model.to_classifier()


def test_photos_that_cannot_be_read_are_listed(model, paths, labels, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    bad = [*paths[:16], tmp_path / "text.jpg", tmp_path / "gone.jpg"]
    with pytest.raises(PhotosError, match=r"1 of 18 photos cannot be read: .*gone.jpg .*\n  leave them out"):
        model.fit(bad, labels)
    with pytest.raises(PhotosError, match=r"1 of 17 photos cannot be read: .*text\.jpg"):
        model.fit(bad[:17], labels[:17])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("photo.jpg", "expected several photos: .*found one str"),
        (np.zeros((4, 7)), r"found numbers of shape \(4, 7\)\n  .*LinearProbe"),
        (np.array([["a", "b"]], dtype=object), r"found an array of objects of shape \(1, 2\)"),
        ([1, 2], "expected a path, a PIL image"),
        (7, "expected a path, a PIL image"),
    ],
)
def test_what_is_not_photos_is_refused(model, X, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, ["ant", "bee"])


def test_lengths_that_differ_are_refused(model, paths, labels):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(paths, labels[:-1])
    with pytest.raises(ValueError, match="y: expected the class of each photo"):
        model.fit(paths, None)


def test_an_unfitted_classifier_says_so(model, paths):
    with pytest.raises(sklearn.exceptions.NotFittedError, match="not fitted"):
        model.predict(paths)


def test_an_unknown_network_is_named():
    with pytest.raises(BackboneError, match="resnet_of_mine"):
        PhotoFeatures("resnet_of_mine").fit([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize("kind", [PhotoFeatures, PhotoClassifier])
@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_the_checks_of_scikit_learn_that_need_no_table(kind):
    checks = [(estimator, check) for estimator, check in estimator_checks_generator(kind())]
    assert [check.func.__name__ for _, check in checks] == ["check_estimator_cloneable"]
    for estimator, check in checks:
        check(estimator)


def test_networks_are_shared_by_clones(model, paths, labels):
    shared_networks.shared_network.cache_clear()
    model.fit(paths, labels)
    clone(model).fit(paths, labels)
    assert shared_networks.shared_network.cache_info().currsize == 1


def test_regraft_does_not_load_scikit_learn():
    code = "import regraft, regraft.cli.main, sys; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_without_scikit_learn_the_message_names_the_command():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try:\n    import regraft.sklearn\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, capture_output=True, text=True)
    assert done.stdout.strip().endswith("pip install 'regraft[sklearn]'")
