"""The figures of an evaluation, by the names that metrics.json and tables use, and what each of them is.

Beside each stands its bootstrap interval where one is worked out; see `cnnlab.metrics`.
"""

_OF_CLASSES = {
    "accuracy": "the share that is right",
    "top_k": "the share whose class is among the k highest",
    "precision": "of what was called a class, the share that is: per class, macro, micro, weighted",
    "recall": "of what is a class, the share that was called so: per class, macro, micro, weighted",
    "f1": "the harmonic mean of precision and recall: per class, macro, micro, weighted",
    "balanced_accuracy": "the mean recall over classes",
    "specificity": "of what is not a class, the share that was not called so: per class",
    "matthews_correlation": "Matthews' coefficient over all classes",
    "cohens_kappa": "agreement beyond that of chance",
    "log_loss": "-log of the true class's probability, in nats",
    "roc_auc": "the area under the ROC curve: per class against the rest, and macro",
    "average_precision": "the mean precision over recall: per class against the rest, and macro",
    "expected_calibration_error": "the mean gap between confidence and accuracy over 15 bins",
}
_OF_LABELS = {
    "subset_accuracy": "the share with all labels right",
    "hamming_loss": "the share of labels that is wrong",
    **{name: f"{_OF_CLASSES[name]}, samples" for name in ("precision", "recall", "f1")},
    **{name: _OF_CLASSES[name] for name in ("roc_auc", "average_precision")},
}
_OF_VALUES = {
    "mse": "the mean squared error",
    "rmse": "its root, in units of the target",
    "mae": "the mean absolute error",
    "r2": "1 - squared errors over the target's own spread",
    "max_error": "the largest error",
}
_OF_MASKS = {
    "pixel_accuracy": "the share of pixels that is right",
    "mean_iou": "intersection over union, the mean over classes",
    "mean_dice": "Dice's coefficient, the mean over classes",
}
_OF_RECONSTRUCTIONS = {
    "mse": "the mean squared error, in the input's own units, 0 to 1 of pixels",
    "psnr": "10 log10(peak^2 / mse), in decibels; the peak is 1 of pixels, else the range of the split",
    "corrupted_psnr": "that of what the network was given",
    "roc_auc": "the area under the ROC curve of the error, of anomalies against what is normal",
    "average_precision": "the mean precision over recall of anomalies, by the error",
}
METRICS_OF_TASK: dict[str, dict[str, str]] = {
    "classification": _OF_CLASSES,
    "multi_label": _OF_LABELS,
    "regression": _OF_VALUES,
    "segmentation": _OF_MASKS,
    "reconstruction": _OF_RECONSTRUCTIONS,
}
"""Of the perceptron its task says more: mistakes."""
