"""`PhotoClassifier`: photos in, classes out, as a classifier of scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from regraft.errors import ConfigError
from regraft.models.catalogue import DEFAULT_BACKBONE
from regraft.models.classifier import Classifier
from regraft.sklearn.linear_probe import ClassWeight, LinearProbe
from regraft.sklearn.photo_features import PhotoFeatures, with_photo_tags


class PhotoClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of photos: `PhotoFeatures`, then `LinearProbe`.

    Equal photos stay in one fold where C is chosen. A clone, and one with another C, uses the cached features.

    Args:
        backbone: name of the network in timm.
        weights: as for `PhotoFeatures`; so are ``size``, ``engine``, ``device``, ``workers`` and ``cache``.
        size: height and width of the input in pixels.
        C: as for `LinearProbe`; so are ``class_weight`` and ``seed``. None to choose it by cross-validation.
        class_weight: ``"balanced"``, a dict of weights, or None.
        seed: seed of the folds.
        engine: name of the engine.
        device: where the network runs.
        workers: number of decoding threads.
        cache: whether to use the feature store.

    Attributes:
        classes_: the classes, sorted.
        features_: the fitted `PhotoFeatures`.
        probe_: the fitted `LinearProbe`.

    Raises:
        ConfigError: ``X`` is not several photos (also a ValueError).
        PhotosError: photos cannot be read; the message lists them.
        ValueError: another argument, or a length, is invalid.

    Example:
        >>> import numpy as np
        >>> from sklearn.model_selection import cross_val_score
        >>> from regraft.sklearn import PhotoClassifier
        >>> dark, bright = np.zeros((6, 32, 32, 3), np.uint8), np.full((6, 32, 32, 3), 255, np.uint8)
        >>> photos = np.concatenate([dark, bright]) ^ np.arange(12, dtype=np.uint8)[:, None, None, None]
        >>> y = ["dark"] * 6 + ["bright"] * 6
        >>> cross_val_score(PhotoClassifier(size=64, C=1e-3), photos, y, cv=3)
        array([1., 1., 1.])
    """

    def __init__(
        self,
        backbone: str = DEFAULT_BACKBONE,
        *,
        weights: Path | str | None = None,
        size: int | None = None,
        C: float | None = None,
        class_weight: ClassWeight = None,
        seed: int = 0,
        engine: str = "auto",
        device: str = "auto",
        workers: int | None = None,
        cache: bool = True,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.size = size
        self.C = C
        self.class_weight = class_weight
        self.seed = seed
        self.engine = engine
        self.device = device
        self.workers = workers
        self.cache = cache

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Compute the features of photos, and fit the probe on them.

        Args:
            X: photos, see `PhotoFeatures`.
            y: class of each photo, shape (n,): text, integers or other values that can be sorted.
            sample_weight: weight of each photo, shape (n,).
            groups: group of each photo, shape (n,): photos of a group are in one fold where C is chosen.
        """
        if y is None:
            raise ValueError("y: expected the class of each photo, found None")
        y = column_or_1d(y, warn=True)
        extractor = PhotoFeatures(
            self.backbone,
            weights=self.weights,
            size=self.size,
            engine=self.engine,
            device=self.device,
            workers=self.workers,
            cache=self.cache,
        )
        features, contents = extractor.fit_with_contents(X)
        check_consistent_length(features, y)
        self.features_ = extractor
        self.probe_ = LinearProbe(self.C, class_weight=self.class_weight, seed=self.seed)
        self.probe_.fit_rows(features, y, sample_weight, groups, contents)
        self.classes_ = self.probe_.classes_
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each photo, shape (n,)."""
        features = self._features(X)
        predicted: NDArray[Any] = self.probe_.predict(features)
        return predicted

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, shape (n, k), in the order of ``classes_``."""
        features = self._features(X)
        return self.probe_.predict_proba(features)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the logits, shape (n, k); for two classes that of the second above that of the first, shape (n,)."""
        features = self._features(X)
        return self.probe_.decision_function(features)

    def to_classifier(self) -> Classifier:
        """Return this classifier as a `regraft.Classifier`, for `regraft predict`, exports and further training.

        Its class names are ``classes_`` as text.

        Raises:
            ConfigError: two classes are the same text, such as 1 and "1".
        """
        check_is_fitted(self)
        import torch

        names = [str(name) for name in self.classes_]
        if len(set(names)) < len(names):
            raise ConfigError(f"classes: expected different names, found {names}")
        classifier = Classifier(self.features_.network().backbone, names)
        bounds = self.probe_.bounds()
        classifier.set_head(
            torch.from_numpy(self.probe_.weight_),
            torch.from_numpy(self.probe_.bias_),
            (torch.from_numpy(bounds.lower), torch.from_numpy(bounds.upper)),
        )
        return classifier

    def __sklearn_tags__(self) -> Any:
        return with_photo_tags(super().__sklearn_tags__())

    def _features(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        return self.features_.transform(X)
