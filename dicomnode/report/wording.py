"""The sentences that the Structured Report and the picture both say."""

from dicomnode.records import Finding, ModelRef, Prediction, Presence
from dicomnode.report.request import Order

__all__ = ["CAUTION", "by_weight", "completeness", "headline", "notes", "percent", "revision"]

CAUTION = "Automated result, not verified by a physician."


def by_weight(findings: tuple[Finding, ...]) -> list[Finding]:
    """Present before undetermined before absent, each most probable first."""
    order = [Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT]
    return sorted(findings, key=lambda f: (order.index(f.presence), -f.probability))


def percent(probability: float) -> str:
    """A probability as people read it: one decimal, and never rounded to certainty."""
    if 0 < probability < 0.001:
        return "< 0.1 %"
    if 0.999 < probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"


def headline(prediction: Prediction) -> str:
    """What was found, in one sentence."""
    found = by_weight(prediction.findings)
    present = [f for f in found if f.presence is Presence.PRESENT]
    unsure = [f.label for f in found if f.presence is Presence.UNDETERMINED]
    text = "No finding above its threshold."
    if present:
        named = ", ".join(f"{f.label} ({percent(f.probability)})" for f in present)
        text = f"Above threshold: {named}."
    return f"{text} Undetermined: {', '.join(unsure)}." if unsure else text


def completeness(prediction: Prediction, order: Order) -> str:
    """How much of the study was analysed."""
    analysed = len({frame.image.sop_instance_uid for frame in prediction.frames})
    images = "1 image" if analysed == 1 else f"{analysed} images"
    if not order.partial:
        return f"{images} analysed."
    count = f"{order.received} images received, more were expected"
    if order.expected is not None:
        count = f"{order.received} of {order.expected} images received"
    return f"PARTIAL STUDY: {count}; {images} analysed."


def revision(order: Order) -> str:
    """Which revision this is, where there was one before; else empty."""
    if order.revision == 1 and not order.predecessors:
        return ""
    return f"Revision {order.revision}: supersedes the earlier automated result of this study."


def notes(prediction: Prediction, order: Order) -> list[str]:
    """What must be read with the findings."""
    model: ModelRef = prediction.model
    said = [CAUTION, completeness(prediction, order), revision(order), model.disclaimer]
    return [text for text in said if text]
