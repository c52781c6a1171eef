"""What the demonstration model finds: codes, and names in the languages that results speak."""

from dicomnode.classify.card.output import Code, Label

__all__ = ["demonstration_labels"]

_LABELS = {
    "cardiomegaly": (
        Code(value="287272002", scheme="SCT", meaning="Cardiomegaly"),
        {"de": "Kardiomegalie", "fr": "cardiomégalie", "es": "cardiomegalia", "zh": "心影增大"},
    ),
    "pleural effusion": (
        Code(value="60046008", scheme="SCT", meaning="Pleural effusion"),
        {
            "de": "Pleuraerguss",
            "fr": "épanchement pleural",
            "es": "derrame pleural",
            "zh": "胸腔积液",
        },
    ),
    "nodule": (
        Code(value="27925004", scheme="SCT", meaning="Nodule"),
        {"de": "Rundherd", "fr": "nodule", "es": "nódulo", "zh": "结节"},
    ),
    "pneumothorax": (
        Code(value="36118008", scheme="SCT", meaning="Pneumothorax"),
        {"de": "Pneumothorax", "fr": "pneumothorax", "es": "neumotórax", "zh": "气胸"},
    ),
}


def demonstration_labels() -> tuple[Label, ...]:
    """The labels in the network's order; their thresholds are still to come."""
    return tuple(
        Label(name=name, code=code, threshold=0.5, names=names)
        for name, (code, names) in _LABELS.items()
    )
