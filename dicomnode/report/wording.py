"""The sentences that Structured Report, picture and page all say, in the language of the order."""

import math
from collections.abc import Iterable, Sequence

from dicomnode.answers import (
    Finding,
    Form,
    Interval,
    ModelRef,
    OperatingPoint,
    Prediction,
    Presence,
    Refusal,
    Translation,
)
from dicomnode.errors import Cause
from dicomnode.report.catalogue import Words, words
from dicomnode.report.request import Order

__all__ = [
    "assessment",
    "by_weight",
    "cautions",
    "certainty",
    "completeness",
    "counted",
    "digest",
    "disclaimer",
    "headline",
    "intended_use",
    "listed",
    "method",
    "minute",
    "model_named",
    "name",
    "notes",
    "partial",
    "percent",
    "performance",
    "reason",
    "remedy",
    "revision",
    "shortfall",
    "stated",
    "to_mark",
]

_ENGLISH = words("en")
_FORMS = {Form.FINDINGS: "presence", Form.CLASSES: "class", Form.GRADES: "grade"}
_ROUNDING = 1e-6  # of a share in thousandths, lost in floating point


def by_weight(findings: Iterable[Finding]) -> list[Finding]:
    """Present before undetermined before absent, each most probable first."""
    order = [Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT]
    return sorted(findings, key=lambda f: (order.index(f.presence), -f.probability))


def listed(prediction: Prediction) -> list[Finding]:
    """In the order of a table: grades as they ascend, else what weighs most first."""
    if prediction.form is Form.GRADES:
        return list(prediction.findings)
    return by_weight(prediction.findings)


def to_mark(finding: Finding) -> bool:
    """Is it there, and something that one points at?"""
    return finding.presence is Presence.PRESENT and finding.marked


def name(finding: Finding, words: Words) -> str:
    """What the finding is called: by its card, else by the catalogue, else its label.

    The catalogue is asked for the meaning of the code, and only where the label says no more than
    that: a "right pleural effusion" that is coded as an effusion stays a right one.
    """
    if words.language in finding.names:
        return finding.names[words.language]
    label, meaning = (_terms(text) for text in (finding.label, finding.concept.meaning))
    if not set(label) <= set(meaning):
        return finding.label
    return words.name(f"finding.{'-'.join(meaning)}", finding.label)


def _terms(text: str) -> list[str]:
    return text.casefold().replace("_", " ").split()


def percent(probability: float, words: Words = _ENGLISH) -> str:
    """A probability as people read it: one decimal, and never a certainty."""
    if probability < 0.001:
        return f"< {_percent(0.001, words)}"
    if probability > 0.999:
        return f"> {_percent(0.999, words)}"
    return _percent(probability, words)


def _percent(share: float, words: Words) -> str:
    number = f"{100 * share:.1f}".replace(".", words.say("marks.decimal"))
    return words.say("marks.percent", number=number)


def counted(finding: Finding, words: Words) -> str:
    """What its probability is of: a grade counts together with all that are higher."""
    named = name(finding, words)
    return words.say("grade.counted", finding=named) if finding.at_least else named


def assessment(finding: Finding, prediction: Prediction, words: Words) -> str:
    """What is said of a finding, as the findings of the answer go together."""
    if _below(finding, prediction):
        return words.say("grade.reached" if finding.at_least else "grade.exceeded")
    return words.say(f"{_FORMS[prediction.form]}.{finding.presence}")


def _below(finding: Finding, prediction: Prediction) -> bool:
    """Is it a grade lower than any that holds, or may hold?"""
    if prediction.form is not Form.GRADES or finding.presence is not Presence.ABSENT:
        return False
    higher = prediction.findings[prediction.findings.index(finding) + 1 :]
    return any(other.presence is not Presence.ABSENT for other in higher)


def stated(finding: Finding, prediction: Prediction, words: Words) -> str:
    """The same with its probability, for below its name."""
    key = "grade.stated" if finding.at_least else "picture.stated"
    presence, probability = assessment(finding, prediction, words), finding.probability
    return words.say(key, presence=presence, probability=percent(probability, words))


def headline(prediction: Prediction, order: Order) -> str:
    """What was found, in one or two sentences."""
    say, found = order.words.say, by_weight(prediction.findings)
    present = [_named(f, order.words) for f in found if f.presence is Presence.PRESENT]
    unsure = [f for f in found if f.presence is Presence.UNDETERMINED]
    if prediction.form is not Form.FINDINGS:
        return _of_one(present, unsure, prediction, order.words)
    first = say("headline.none")
    if present:
        first = say("headline.present", findings=order.words.listed(present))
    names = order.words.listed(name(finding, order.words) for finding in unsure)
    second = say("headline.undetermined", findings=names) if unsure else ""
    return order.words.joined((first, second))


def _of_one(
    present: Sequence[str], unsure: Sequence[Finding], prediction: Prediction, words: Words
) -> str:
    """Which class or grade it is, or which it may be."""
    if prediction.form is Form.CLASSES:
        if present:
            return words.say("class.headline", findings=words.listed(present))
        return words.say("class.unclear", finding=_named(unsure[0], words))
    if present:
        ends = [name(prediction.findings[at], words) for at in (0, -1)]
        said = {"findings": words.listed(present), "lowest": ends[0], "highest": ends[1]}
        return words.say("grade.headline", **said)
    ascending = [finding for finding in prediction.findings if finding in unsure]
    return words.say("grade.unclear", findings=words.listed(name(f, words) for f in ascending))


def _named(finding: Finding, words: Words) -> str:
    probability = percent(finding.probability, words)
    key = "grade.named" if finding.at_least else "headline.named"
    return words.say(key, finding=name(finding, words), probability=probability)


def completeness(prediction: Prediction, order: Order) -> str:
    """How much of the study was analysed."""
    analysed = len({frame.image.sop_instance_uid for frame in prediction.frames})
    said = [partial(order), order.words.say("completeness.analysed", count=analysed)]
    if prediction.left_out:
        said.append(order.words.say("completeness.left_out", count=prediction.left_out))
    return order.words.joined(said)


def shortfall(prediction: Prediction, order: Order) -> str:
    """The same where images are missing or were left out, as a warning; else empty."""
    return completeness(prediction, order) if order.partial or prediction.left_out else ""


def partial(order: Order) -> str:
    """That images were missing, where they were; else empty."""
    if not order.partial:
        return ""
    counts = {"received": order.received, "expected": order.expected}
    key = "completeness.partial_more" if order.expected is None else "completeness.partial_of"
    return order.words.say(key, **counts)


def revision(order: Order) -> str:
    """Which revision this is, where there was one before; else empty."""
    if order.revision == 1 and not order.predecessors:
        return ""
    return order.words.say("revision.supersedes", number=order.revision)


def cautions(model: ModelRef, words: Words) -> list[str]:
    """What goes before any result: that nobody verified it, and the model's disclaimer."""
    return [text for text in (words.say("caution"), disclaimer(model, words)) if text]


def disclaimer(model: ModelRef | None, words: Words) -> str:
    """What the card wants said with every result; empty where there is no card."""
    if model is None:
        return ""
    return _translation(model, words).disclaimer or model.disclaimer


def intended_use(model: ModelRef, words: Words) -> str:
    """What the model is for, where its card says so; else empty."""
    use = _translation(model, words).intended_use or model.intended_use
    return words.say("report.use", use=use) if use else ""


def _translation(model: ModelRef, words: Words) -> Translation:
    return model.translations.get(words.language, Translation())


def certainty(model: ModelRef, words: Words) -> str:
    """Whether the probabilities are calibrated, and by what."""
    if not model.calibration:
        return words.say("certainty.uncalibrated")
    method = words.name(f"calibration.{model.calibration}", model.calibration)
    return words.say("certainty.calibrated", method=method)


def performance(prediction: Prediction, order: Order) -> list[str]:
    """Threshold of each finding, how well it is told there, and on what that was measured."""
    ranked = listed(prediction)
    points = [finding.operating for finding in ranked if finding.operating]
    data = dict.fromkeys(_data(point, order.words) for point in points)
    measured = [order.words.say("certainty.data", data=text) for text in data]
    missing = [order.words.say("certainty.unmeasured")] if len(points) < len(ranked) else []
    return [*(_operating(finding, order.words) for finding in ranked), *measured, *missing]


def _data(point: OperatingPoint, words: Words) -> str:
    return point.translations.get(words.language, point.data)


def _operating(finding: Finding, words: Words) -> str:
    told = {"finding": counted(finding, words), "threshold": percent(finding.threshold, words)}
    point = finding.operating
    if point is None:
        return words.say("certainty.threshold", **told)
    return words.say(
        "certainty.operating",
        sensitivity=_interval(point.sensitivity, words),
        specificity=_interval(point.specificity, words),
        positives=point.positives,
        negatives=point.negatives,
        **told,
    )


def _interval(share: Interval, words: Words) -> str:
    """A measured share as it was counted; its interval is rounded outwards, never narrower."""
    low, high = math.floor(1000 * share.low + _ROUNDING), math.ceil(1000 * share.high - _ROUNDING)
    return words.say(
        "certainty.interval",
        value=_percent(share.value, words),
        low=_percent(low / 1000, words),
        high=_percent(high / 1000, words),
    )


def notes(prediction: Prediction, order: Order) -> list[str]:
    """What must be read with the findings."""
    said = [
        *cautions(prediction.model, order.words),
        completeness(prediction, order),
        revision(order),
        certainty(prediction.model, order.words),
    ]
    return [text for text in said if text]


def model_named(model: ModelRef, words: Words) -> str:
    """Which model spoke, and which models it is made of."""
    named = {"name": model.name, "version": model.version}
    said = words.say("report.model", manufacturer=model.manufacturer or "-", **named)
    if not model.members:
        return said
    members = words.listed(model.members)
    return words.joined(
        (said, words.say("report.members", count=len(model.members), members=members))
    )


def digest(model: ModelRef, words: Words) -> str:
    """By what the model can be told for ever: its weights, or those of all its members."""
    return words.say("report.digest" if model.members else "report.weights", digest=model.digest)


def method(model: ModelRef, words: Words) -> str:
    """How its maps come about; of several models, in the language: it is no name."""
    return words.say("report.mean_of_maps") if model.members else model.explanation


def reason(refusal: Refusal, words: Words) -> str:
    """Why a study was not analysed."""
    what, model = words.say(f"cause.{refusal.cause}.what"), refusal.model
    if refusal.cause is not Cause.VIEW or not model or not model.views:
        return what
    return words.joined((what, words.say("notice.views", views=words.listed(model.views))))


def remedy(refusal: Refusal, words: Words) -> str:
    """What a person can do about it."""
    return words.say(f"cause.{refusal.cause}.remedy")


def minute(order: Order) -> str:
    """When the result was made, in the node's zone."""
    return f"{order.made_at:%Y-%m-%d %H:%M %Z}".strip()
