"""Classifiers of masklets by their pooled features: a small MLP, trained and stored here."""

from sam2vss_lib.isam2.classifiers.files import load_classifier, save_classifier
from sam2vss_lib.isam2.classifiers.mlp import Classifier, ClassifierSettings
from sam2vss_lib.isam2.classifiers.training import fit, train_classifier
from sam2vss_lib.isam2.classifiers.training_set import TrainingSet, read_training_set

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "TrainingSet",
    "fit",
    "load_classifier",
    "read_training_set",
    "save_classifier",
    "train_classifier",
]
