"""UIDs: what is one, and how ours are made."""

import pytest

from dicomnode.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    is_uid,
    result_uid,
)


@pytest.mark.parametrize("text", ["1", "1.2.840.10008.1.1", "2.25.0", "1.02.3", "1" * 64])
def test_a_uid_is_digits_and_dots(text: str) -> None:
    assert is_uid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.a",
        "1.2 ",
        "1.2\x00",
        "1.2\n",
        "../1",
        "1/2",
        "1" * 65,
        "\u00b9.\u00b2",
        "\u0661.\u0662",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert not is_uid(text)


def test_the_same_sources_give_the_same_uid() -> None:
    assert result_uid("a", "b") == result_uid("a", "b")


@pytest.mark.parametrize("other", [("b", "a"), ("ab",), ("a", "b", ""), ("a\x00b", "c")])
def test_other_sources_give_another(other: tuple[str, ...]) -> None:
    assert result_uid("a", "b") != result_uid(*other)


def test_ours_are_uuid_derived() -> None:
    for uid in (result_uid("a"), IMPLEMENTATION_CLASS_UID):
        assert is_uid(uid)
        assert uid.startswith("2.25.")
        assert int(uid.removeprefix("2.25.")) < 2**128


def test_the_version_name_fits_its_vr() -> None:
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
