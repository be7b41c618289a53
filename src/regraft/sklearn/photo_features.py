"""`PhotoFeatures`: the features of a frozen pretrained network as a transformer of scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from regraft.errors import WeightsError
from regraft.models.catalogue import DEFAULT_BACKBONE
from regraft.sklearn.photo_inputs import PhotoInputs, photos_of
from regraft.sklearn.shared_networks import NetworkChoice, SharedNetwork, shared_network


class PhotoFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Photos to the features of a frozen pretrained network.

    ``X`` is a list of paths, PIL images, arrays or tensors, or an array of pictures of shape (n, height, width, 3); see
    `regraft.Predictor.predict` for all forms. Nothing is learned from ``X``. Features are cached by the content of the
    photos, so that a grid search decodes each photo once, also with several processes.

    Args:
        backbone: name of the network in timm.
        weights: a file of weights, or a run of regraft whose network to use; None for the pretrained weights.
        size: height and width of the input in pixels; None for those of the pretraining.
        engine: name of the engine, such as ``"eager fp32"``, which is torch; ``"auto"`` for the one that is done with
            the photos of ``fit`` soonest.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        workers: number of decoding threads; None for the default.
        cache: whether to read and write the feature store of regraft, on the disk.

    Attributes:
        engine_: name of the engine in use.
        n_features_out_: number of features.
        weights_hash_: SHA-256 of the network's weights. A pickle holds it in place of the weights; they are loaded by
            name where the pickle is used, and compared with it.

    Raises:
        ConfigError: ``X`` is not several photos (also a ValueError).
        PhotosError: photos cannot be read; the message lists them.
        BackboneError, WeightsError: the network is unknown, or its weights are unavailable or have changed.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from regraft.sklearn import PhotoFeatures
        >>> photos = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
        >>> PhotoFeatures(size=64, cache=False).fit_transform(photos).shape
        (8, 1280)
        >>> model = make_pipeline(PhotoFeatures(size=64), LogisticRegression())
        >>> model.fit(photos, ["ant", "bee"] * 4).predict(photos).shape
        (8,)
    """

    def __init__(
        self,
        backbone: str = DEFAULT_BACKBONE,
        *,
        weights: Path | str | None = None,
        size: int | None = None,
        engine: str = "auto",
        device: str = "auto",
        workers: int | None = None,
        cache: bool = True,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.size = size
        self.engine = engine
        self.device = device
        self.workers = workers
        self.cache = cache

    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the network and choose its engine; nothing is learned from ``X``."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> NDArray[np.float32]:
        """Return the features of photos, shape (n, D), float32, after `fit`."""
        return self.fit_with_contents(X)[0]

    def fit_with_contents(self, X: Any) -> tuple[NDArray[np.float32], list[str]]:
        """Return the features of photos, shape (n, D), and the hash of each photo's content, after `fit`."""
        network, inputs = self._fit(X)
        features = network.features(inputs, self.engine_, cache=self.cache, workers=self.workers)
        return features, [entry.content for entry in inputs.entries]

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features of photos, shape (n, D), float32."""
        check_is_fitted(self, "weights_hash_")
        network = self.network()
        inputs = network.inputs(photos_of(X), self.workers)
        return network.features(inputs, self.engine_, cache=self.cache, workers=self.workers)

    def network(self) -> SharedNetwork:
        """Return the network in use.

        Raises:
            WeightsError: its weights differ from those of `fit`.
        """
        network = shared_network(NetworkChoice.of(self.backbone, self.weights, self.size, self.device))
        fitted = getattr(self, "weights_hash_", network.weights_hash)
        if fitted != network.weights_hash:
            raise WeightsError(
                f"{self.backbone}: its weights are not those of fit: expected {fitted[:12]}…, found "
                f"{network.weights_hash[:12]}…\n  use the weights of fit, or fit again"
            )
        return network

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return names of the features: ``photofeatures0`` and so on."""
        check_is_fitted(self, "n_features_out_")
        return np.array([f"photofeatures{i}" for i in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        return with_photo_tags(super().__sklearn_tags__())

    def _fit(self, X: Any) -> tuple[SharedNetwork, PhotoInputs]:
        photos = photos_of(X)
        network = shared_network(NetworkChoice.of(self.backbone, self.weights, self.size, self.device))
        inputs = network.inputs(photos, self.workers)
        automatic = self.engine == "auto"
        self.engine_ = (
            network.fastest_engine(inputs, cache=self.cache, workers=self.workers) if automatic else self.engine
        )
        self.n_features_out_ = network.backbone.spec.num_features
        self.weights_hash_ = network.weights_hash
        return network, inputs


def with_photo_tags(tags: Any) -> Any:
    """Return scikit-learn's tags of an estimator of photos: neither a table of numbers nor columns with names."""
    tags.input_tags.two_d_array = False
    tags.input_tags.one_d_array = True
    tags.input_tags.three_d_array = True
    tags.input_tags.string = True
    tags.no_validation = True
    return tags
