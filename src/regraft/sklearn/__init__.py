"""Estimators for scikit-learn: frozen features of photos, regraft's linear probe, and both as one classifier.

scikit-learn is optional: ``pip install 'regraft[sklearn]'``. ``import regraft`` does not load it.
"""

from regraft.errors import MissingExtraError

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as _error:
    raise MissingExtraError("The estimators of regraft.sklearn", "sklearn") from _error

from regraft.sklearn.linear_probe import LinearProbe
from regraft.sklearn.photo_classifier import PhotoClassifier
from regraft.sklearn.photo_features import PhotoFeatures

__all__ = ["LinearProbe", "PhotoClassifier", "PhotoFeatures"]
