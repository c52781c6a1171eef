"""What a sender is told."""

import pytest

from dicomnode import errors
from dicomnode.errors import ConfigError, DicomnodeError, ObjectRefused, StoreError
from dicomnode.receive.status import ANSWERS, SUCCESS, UNFORESEEN, answer_to


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.StoreFull(), 0xA700),
        (errors.StoreError(), 0xA701),
        (errors.Mismatch(), 0xA900),
        (errors.Unreadable(), 0xC000),
        (errors.TooLarge(), 0xC001),
        (errors.Conflict(), 0xC002),
        (errors.BadUID(), 0x0117),
        (ConfigError(), 0xC211),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_status(error: DicomnodeError, status: int) -> None:
    assert answer_to(error).status == status


def test_no_way_to_refuse_an_object_is_forgotten() -> None:
    assert set(ObjectRefused.__subclasses__()) | {StoreError} <= set(ANSWERS)


def test_an_error_that_is_new_is_answered_as_its_parent() -> None:
    class Slow(StoreError):
        pass

    assert answer_to(Slow()) == ANSWERS[StoreError]


@pytest.mark.parametrize("answer", [SUCCESS, UNFORESEEN, *ANSWERS.values()])
def test_comments_fit_the_wire(answer: object) -> None:
    comment = str(getattr(answer, "comment", None))
    assert comment.isascii()
    assert len(comment) <= 64
