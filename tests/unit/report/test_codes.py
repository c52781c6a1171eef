"""Coded concepts: what is written agrees with the dictionaries, and always fits."""

from pydicom.sr.codedict import codes as standard

from dicomnode.answers import Concept
from dicomnode.report import codes


def test_every_standard_concept_has_the_meaning_that_the_dictionary_gives() -> None:
    named = [item for item in vars(codes).values() if isinstance(item, Concept)]
    named += codes.PRESENCE.values()
    known = {
        (scheme, code.value): code.meaning.removesuffix(" (attribute)")
        for scheme in ("DCM", "SCT", "LN")
        for code in getattr(standard, scheme).concepts.values()
    }
    checked = [concept for concept in named if concept.scheme in ("DCM", "SCT", "LN")]

    assert len(checked) > 35
    for concept in checked:
        assert known[concept.scheme, concept.value] == concept.meaning


def test_every_modality_of_ours_is_one_of_the_standard() -> None:
    known = {(code.value, code.meaning) for code in standard.cid29.concepts.values()}
    for value in codes._MODALITIES:
        concept = codes.modality(value)
        assert concept is not None
        assert (concept.value, concept.meaning) in known


def test_a_modality_nobody_knows_is_no_concept() -> None:
    assert codes.modality("XYZ") is None


def test_a_code_longer_than_sixteen_characters_is_a_long_code_value() -> None:
    item = codes.coded(Concept(value="x" * 17, scheme="99TEST", meaning="m"))
    assert item.LongCodeValue == "x" * 17
    assert "CodeValue" not in item


def test_a_meaning_is_cut_at_sixty_four_characters() -> None:
    finding = Concept(value="1", scheme="99TEST", meaning="very " * 20)
    item = codes.coded(codes.probability_of(finding))
    assert item.CodeMeaning.startswith("very very")
    assert item.CodeMeaning.endswith(" probability")
    assert len(item.CodeMeaning) <= 64


def test_names_every_private_scheme_and_no_other() -> None:
    used = [codes.PRIVATE_SCHEME, "99HOSPITAL", "SCT", "99HOSPITAL"]
    names = [item.CodingSchemeDesignator for item in codes.private_schemes(used)]
    assert names == ["99DICOMNODE", "99HOSPITAL"]
