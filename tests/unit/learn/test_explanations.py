"""The measures of an explanation, on a network whose every answer is arithmetic."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from dicomnode.classify.card.card import Card
from dicomnode.classify.card.explanation import Explanation, Method
from dicomnode.classify.card.fitted import Calibration
from dicomnode.classify.card.input import Input
from dicomnode.classify.card.output import Output
from dicomnode.errors import ModelError
from dicomnode.learn import cases
from dicomnode.learn.cases import Boxes, Case, Masks
from dicomnode.learn.explanations import Judged, judge, shown, table, variant
from tests.tiny_model import make_card, make_label

SPOT = (24.0, 8.0, 32.0, 16.0)


class Spot(torch.nn.Module):
    """Finds `bright` when the brightest cell of the image is bright: logit 12 * cell - 6."""

    def __init__(self) -> None:
        super().__init__()
        self.look = torch.nn.Conv2d(1, 1, 4, stride=4, bias=False)
        torch.nn.init.constant_(self.look.weight, 1 / 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = self.look(image)
        return 12 * seen.amax((2, 3)) - 6


def card(**changes: object) -> Card:
    usual: dict[str, object] = {
        "labels": (make_label("bright"),),
        "input": Input(size_px=40, channels=1, resize="pad", mean=(0.0,), std=(1.0,)),
        "explanation": Explanation(method="hires-cam", layer="look"),
    }
    return make_card(**(usual | changes))


def case(boxes: Boxes | None = None, masks: Masks | None = None) -> Case:
    """A bright spot on black."""
    pixels = np.zeros((40, 40), dtype=np.float32)
    left, top, right, bottom = (int(edge) for edge in SPOT)
    pixels[top:bottom, left:right] = 1
    return Case(frame=cases._frame(pixels), boxes=boxes or {}, masks=masks or {})


def judged(*found: Case, methods: Iterable[Method] = ("hires-cam",)) -> list[Judged]:
    return [one for ones in judge(card(), Spot(), found, list(methods)) for one in ones]


def test_a_map_on_the_finding_hits_it() -> None:
    (one,) = judged(case({"bright": (SPOT,)}))
    assert (one.centre, one.pointing) == (True, True)


def test_a_map_beside_the_finding_misses_it() -> None:
    (one,) = judged(case({"bright": ((0.0, 0.0, 20.0, 40.0),)}))
    assert (one.centre, one.pointing) == (False, False)


def test_one_box_of_several_is_enough() -> None:
    (one,) = judged(case({"bright": ((0.0, 0.0, 4.0, 4.0), SPOT)}))
    assert (one.centre, one.pointing) == (True, True)


def test_a_crescent_is_missed_by_what_lies_within_its_box() -> None:
    """The spot is all but its left upper edge: its middle is in the box and not on the finding."""
    rim = np.zeros((40, 40), dtype=np.bool_)
    rim[8:16, 24:32] = True
    rim[11:16, 27:32] = False
    (by_box,) = judged(case({"bright": (SPOT,)}))
    (by_mask,) = judged(case({"bright": (SPOT,)}, {"bright": rim}))
    assert (by_box.centre, by_mask.centre) == (True, False)
    (on_it,) = judged(case(masks={"bright": ~rim}))
    assert on_it.centre is True


def test_a_map_without_a_region_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.learn.explanations.regions", lambda *_: ())
    (one,) = judged(case({"bright": (SPOT,)}))
    assert one.centre is False


def test_without_a_box_nothing_is_said_of_places() -> None:
    (one,) = judged(case())
    assert (one.centre, one.pointing) == (None, None)


def test_an_answer_that_is_wrong_is_not_judged() -> None:
    assert judged(case({"dark": (SPOT,)})) == []
    dark = Case(frame=cases._frame(np.zeros((40, 40), dtype=np.float32)), boxes={"bright": (SPOT,)})
    assert judged(dark) == []


def test_what_is_present_is_told_by_the_calibrated_probability() -> None:
    calibration = Calibration(method="temperature", temperatures=(6.0,), dataset="spots", images=1)
    labels = (make_label("bright", 0.9),)  # 99.8 % before calibration, 73 % after
    for changes, count in (({}, 1), ({"calibration": calibration}, 0)):
        (ones,) = judge(card(labels=labels, **changes), Spot(), [case()], ["hires-cam"])
        assert len(ones) == count


def test_a_finding_that_competes_with_its_absence_is_judged_by_its_own_number() -> None:
    """Two numbers of opposite sign, by softmax: as one of twice the size."""

    class Two(Spot):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            one = super().forward(image) / 2
            return torch.cat([-one, one], dim=1)

    competing = card(output=Output(kind="binary", activation="softmax"))
    case_of = case({"bright": (SPOT,)})
    ((one,),) = judge(competing, Two(), [case_of], ["hires-cam"])
    (plain,) = judged(case_of)
    assert (one.label, one.centre, one.pointing) == ("bright", True, True)
    assert one.deletion == pytest.approx(plain.deletion, abs=1e-6)
    assert one.insertion == pytest.approx(plain.insertion, abs=1e-6)


def test_the_probability_falls_as_soon_as_the_hottest_pixels_go() -> None:
    (one,) = judged(case())
    low, high = (torch.sigmoid(torch.tensor(x)).item() for x in (12 * 0.04 - 6, 6.0))
    assert one.deletion == pytest.approx((high / 2 + 11.5 * low) / 12, abs=0.01)


def test_the_probability_rises_as_soon_as_the_hottest_pixels_come() -> None:
    (one,) = judged(case())
    assert one.insertion > 0.95


def test_a_map_that_points_elsewhere_scores_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    (right,) = judged(case())
    corner = torch.zeros(40, 40)
    corner[36:, :4] = 1
    monkeypatch.setattr("dicomnode.classify.explaining.explain.attribute", lambda *_: [corner])
    (wrong,) = judged(case({"bright": (SPOT,)}))
    assert (wrong.centre, wrong.pointing) == (False, False)
    assert wrong.deletion > right.deletion + 0.05
    assert wrong.insertion < right.insertion - 0.02


def test_every_method_is_judged_on_the_same_findings() -> None:
    found = judged(case(), methods=["grad-cam", "occlusion"])
    assert [one.method for one in found] == ["grad-cam", "occlusion"]


def test_another_method_looks_at_the_layer_of_the_card() -> None:
    told = Explanation(method="hires-cam", layer="last", region_fraction=0.3)
    assert variant(told, "hires-cam") == told
    other = variant(told, "grad-cam++")
    assert (other.method, other.layer, other.region_fraction) == ("grad-cam++", "last", 0.3)


def test_a_method_that_needs_a_layer_says_so() -> None:
    with pytest.raises(ModelError, match="grad-cam needs a layer"):
        variant(Explanation(method="occlusion"), "grad-cam")


def one(label: str, centre: bool | None, deletion: float) -> Judged:
    return Judged(
        method="occlusion", label=label, centre=centre, pointing=centre, deletion=deletion,
        insertion=0.5, seconds=0.1,
    )  # fmt: skip


def test_the_table_has_a_line_a_label_and_one_for_all() -> None:
    first, second, everything = table(
        [one("b", True, 0.2), one("a", None, 0.4), one("b", False, 0)]
    )
    assert [line.label for line in (first, second, everything)] == ["a", "b", ""]
    assert first.centre is None
    assert second.centre is not None
    assert everything.centre is not None
    assert (second.centre.value, everything.centre.value) == (0.5, 0.5)
    assert (everything.findings, everything.deletion) == (3, 0.2)


def test_a_card_says_how_well_its_explanations_held_up() -> None:
    (line,) = shown(card(), Spot(), [case({"bright": (SPOT,)}), case({"bright": (SPOT,)}), case()])
    assert (line.label, line.findings, line.centre.value, line.pointing.value) == (
        "bright",
        3,
        1,
        1,
    )
    assert line.deletion < line.insertion
    assert shown(card(), Spot(), [case()]) == ()
