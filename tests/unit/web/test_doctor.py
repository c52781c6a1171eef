"""The doctor knows every cause that receivers tell, and says what to do about each."""

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, JPEGLSLossless

from dicomnode.errors import Trouble
from dicomnode.receive.status import ANSWERS
from dicomnode.records import Visit, VisitState
from dicomnode.web.doctor import Advice, Place, advise
from tests.factories import make_peer

PLACE = Place(
    ae_title="DICOMNODE",
    peers={
        "ct": make_peer(name="ct", ae_title="CT1"),
        "pacs": make_peer(name="pacs", ae_title="PACS", may_send=False, storage_commitment=True),
    },
)


def make_visit(trouble: Trouble | None, **changes: object) -> Visit:
    told: dict[str, object] = {
        "state": VisitState.REJECTED,
        "address": "10.0.0.7",
        "calling_ae": "CT1",
        "called_ae": "DICOMNODE",
        "trouble": trouble,
    }
    return Visit(**(told | changes))  # type: ignore[arg-type]


def ask(trouble: Trouble, **changes: object) -> Advice:
    advice = advise(make_visit(trouble, **changes), PLACE)
    assert advice is not None
    return advice


def test_where_all_was_well_there_is_nothing_to_say() -> None:
    assert advise(make_visit(None), PLACE) is None


@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("state", VisitState)
@pytest.mark.parametrize("named", [True, False])
def test_every_cause_has_words_and_a_remedy(
    trouble: Trouble, state: VisitState, named: bool
) -> None:
    who = (
        {"calling_ae": "MR7", "called_ae": "OTHER"} if named else {"calling_ae": "", "address": ""}
    )
    refusals = {"Conflict": 1} if trouble is Trouble.OBJECTS else {}
    contexts = {"1.2.840.10008.5.1.4.31": (ImplicitVRLittleEndian,)}
    advice = ask(trouble, state=state, refusals=refusals, refused_contexts=contexts, **who)
    assert advice.reason
    assert advice.fix or advice.harmless or advice.mended
    assert "{" not in advice.reason + advice.fix
    assert (advice.reason + advice.fix).count("`") % 2 == 0


@pytest.mark.parametrize("kind", [*(kind.__name__ for kind in ANSWERS), ""])
def test_every_status_of_a_refused_object_has_words_of_its_own(kind: str) -> None:
    advice = ask(Trouble.OBJECTS, refusals={kind: 2})
    assert advice.reason.startswith("2 objects refused: ")
    assert advice.fix
    others = {other.__name__ for other in ANSWERS} - {kind}
    assert all(ask(Trouble.OBJECTS, refusals={each: 2}).reason != advice.reason for each in others)


def test_the_commonest_reason_of_refused_objects_is_told_first() -> None:
    reason = ask(Trouble.OBJECTS, refusals={"TooLarge": 1, "Conflict": 5}).reason
    assert reason.index("5 objects refused") < reason.index("1 object refused")


def test_a_called_ae_that_is_nearly_ours() -> None:
    advice = ask(Trouble.CALLED_AE, called_ae="DICOMNOD")
    assert advice.reason == "called AE `DICOMNOD` is not ours; did the sender mean `DICOMNODE`?"
    assert advice.fix == "At `CT1` at 10.0.0.7, set the called (remote) AE title to `DICOMNODE`."


def test_a_called_ae_in_small_letters_and_one_that_is_meant_for_another() -> None:
    assert "Upper and lower case count" in ask(Trouble.CALLED_AE, called_ae="dicomnode").fix
    assert ask(Trouble.CALLED_AE, called_ae="ARCHIVE").reason == "called AE `ARCHIVE` is not ours"


def test_a_stranger_who_calls_another_has_two_things_to_mend() -> None:
    assert "`NEW` may not send yet" in ask(Trouble.CALLED_AE, called_ae="X", calling_ae="NEW").fix


def test_an_unknown_caller_is_one_click_from_being_a_peer() -> None:
    advice = ask(Trouble.CALLING_AE, calling_ae="X RAY&1")
    assert advice.reason == "calling AE `X RAY&1` is no peer"
    assert advice.adds == "X RAY&1"
    assert advice.link == (
        "/configuration/add/peers?name=x_ray_1&ae_title=X+RAY%261&host=10.0.0.7&may_send=on"
    )
    assert advice.link_words == "Look first"


@pytest.mark.parametrize("odd", [{"calling_ae": "A\\B"}, {"calling_ae": "MR7", "address": ""}])
def test_who_cannot_be_a_peer_as_it_called_has_to_be_looked_at(odd: dict[str, str]) -> None:
    advice = ask(Trouble.CALLING_AE, **odd)
    assert (advice.adds, advice.link_words) == ("", "Add it as a peer")


def test_a_caller_whose_name_is_taken_is_given_another() -> None:
    assert "?name=ct1&" in ask(Trouble.CALLING_AE, calling_ae="ct1").link
    assert "?name=ct_2&" in ask(Trouble.CALLING_AE, calling_ae="CT").link


@pytest.mark.parametrize(
    ("title", "words"),
    [("ct1", "`CT1` is, and upper and lower case count"), ("CT11", "is it `CT1`?")],
)
def test_a_caller_that_is_nearly_a_peer(title: str, words: str) -> None:
    advice = ask(Trouble.CALLING_AE, calling_ae=title)
    assert words in advice.reason
    assert "set its own AE title to `CT1`" in advice.fix


def test_a_peer_that_may_not_send_has_to_be_ticked() -> None:
    advice = ask(Trouble.CALLING_AE, calling_ae="PACS")
    assert advice.reason == "peer `pacs` has this AE title, and may not send"
    assert advice.link == "/configuration/peers/pacs"


def test_what_was_mended_since_is_told() -> None:
    assert ask(Trouble.CALLING_AE, calling_ae="CT1").mended
    assert ask(Trouble.CALLED_AE, called_ae="DICOMNODE").mended


def test_what_was_proposed_is_named() -> None:
    private = {CTImageStorage: ("1.2.840.113619.5.2",)}
    reason = ask(Trouble.CONTEXTS, refused_contexts=private).reason
    assert reason == (
        "no accepted presentation context for CT Image Storage in 1.2.840.113619.5.2, "
        "which is not of the standard"
    )
    worklist = {"1.2.840.10008.5.1.4.31": (ImplicitVRLittleEndian,)}
    advice = ask(Trouble.CONTEXTS, refused_contexts=worklist)
    assert "Modality Worklist Information Model - FIND" in advice.reason
    assert "PACS or RIS" in advice.fix


def test_a_peer_that_only_confirms_storage_proposed_images() -> None:
    images = {CTImageStorage: (JPEGLSLossless,)}
    advice = ask(Trouble.CONTEXTS, calling_ae="PACS", refused_contexts=images)
    assert advice.link == "/configuration/peers/pacs"
    assert ask(Trouble.CONTEXTS, calling_ae="CT1", refused_contexts=images).mended


def test_of_many_a_few_are_named() -> None:
    many = {f"1.2.3.{n}": ("1.2",) for n in range(10)}
    assert "and 6 more" in ask(Trouble.CONTEXTS, refused_contexts=many).reason


def test_a_monitor_is_harmless_and_a_broken_connection_is_not() -> None:
    assert ask(Trouble.HUNG_UP, state=VisitState.NO_REQUEST).harmless
    assert not ask(Trouble.HUNG_UP, state=VisitState.ABORTED).harmless
