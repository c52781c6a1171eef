"""The shipped card is what its recipe writes."""

from dicomnode.classify.card.folder import SHIPPED, read_card
from dicomnode.classify.verify import verify
from dicomnode.learn.demonstration import Recipe, describe
from dicomnode.learn.translations import EVALUATION, SPOKEN
from dicomnode.report.catalogue import LANGUAGES

CARD = read_card(SHIPPED / "demonstration")


def test_what_is_not_measured_is_as_the_recipe_describes_it() -> None:
    described = describe(Recipe())
    fitted = {"weights", "labels", "explanation", "calibration", "novelty", "evaluation", "vectors"}
    assert CARD.model_dump(exclude=fitted) == described.model_dump(exclude=fitted)
    for label, plain in zip(CARD.labels, described.labels, strict=True):
        assert label.model_copy(update={"threshold": plain.threshold}) == plain
    explanation = CARD.explanation.model_copy(update={"measures": ()})
    assert explanation == described.explanation


def test_it_speaks_every_language_of_results() -> None:
    assert CARD.evaluation is not None
    assert dict(CARD.evaluation.translations) == EVALUATION
    assert {*SPOKEN} == {*EVALUATION} == {*LANGUAGES} - {"en"}
    assert all(spoken.disclaimer and spoken.intended_use for spoken in SPOKEN.values())


def test_it_still_answers_what_it_answered_when_it_was_made() -> None:
    (verified,) = verify(SHIPPED / "demonstration", CARD, "torch")
    assert verified.difference < 1e-4
