"""What a page says that stands in the place of a result: not analysed, or withdrawn."""

from dataclasses import dataclass

from dicomnode.answers import ModelRef, Refusal
from dicomnode.report import wording
from dicomnode.report.request import Order

__all__ = ["Placard", "not_analysed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placard:
    """In the language of the order, from large to small; it shows no image and names no patient."""

    model: ModelRef | None  #: None where not even its card could be read
    series: str  #: in English, for the list of series
    title: str
    warning: str  #: what nobody may take it for
    notes: tuple[str, ...]  #: other warnings
    sentences: tuple[str, ...]
    small_print: tuple[str, ...]


def not_analysed(refusal: Refusal, order: Order) -> Placard:
    """That there is no result, why, and what to do."""
    words, model = order.words, refusal.model
    say = words.say
    notes = [wording.disclaimer(model, words), wording.partial(order), wording.revision(order)]
    small_print = [
        say("notice.detail", detail=refusal.detail) if refusal.detail else "",
        wording.model_named(model, words) if model else say("notice.unknown_model"),
        say("picture.made", time=wording.minute(order)),
    ]
    return Placard(
        model=model,
        series="AI: NOT ANALYSED",
        title=say("notice.title"),
        warning=say("notice.negative"),
        notes=tuple(filter(None, notes)),
        sentences=(wording.reason(refusal, words), wording.remedy(refusal, words)),
        small_print=tuple(filter(None, small_print)),
    )
