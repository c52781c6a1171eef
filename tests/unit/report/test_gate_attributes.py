"""The gate's tables beside another copy of PS3.3: the one that highdicom carries."""

import json
import pkgutil
from functools import cache
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword

from dicomnode.report.gate.attributes import IODS, ITEMS, MODULES


@cache
def standard(name: str) -> Any:
    data = pkgutil.get_data("highdicom", f"_standard/{name}.json")
    assert data is not None
    return json.loads(data)


# What a content item carries depends on its Value Type: `gate_content` knows.
BY_VALUE_TYPE = {
    "ConceptCodeSequence", "GraphicData", "GraphicType", "MeasuredValueSequence",
    "ReferencedFrameOfReferenceUID", "ReferencedSOPSequence", "TabulatedValuesSequence",
    "TemporalRangeType",
}  # fmt: skip


@pytest.mark.parametrize("sop_class_uid", IODS)
def test_every_attribute_that_the_standard_demands_is_demanded(sop_class_uid: str) -> None:
    iod = standard("iod_module_map")[standard("sop_class_iod_map")[sop_class_uid]]
    demanded: dict[str, str] = {}
    for module in iod:
        if module["usage"] == "M":
            for attribute in standard("module_attribute_map")[module["key"]]:
                if not attribute["path"] and attribute["type"] in ("1", "2"):
                    demanded[attribute["keyword"]] = attribute["type"]
    ours = [MODULES[section] for section in IODS[sop_class_uid].split()]
    filled = {keyword for module in ours for keyword in module.filled.split()}
    present = {keyword for module in ours for keyword in module.present.split()}

    assert len(demanded) > 12
    assert set(demanded) - filled - present - BY_VALUE_TYPE == set()
    of_type_1 = {keyword for keyword, kind in demanded.items() if kind == "1"}
    assert of_type_1 & present - filled == set()


@pytest.mark.parametrize("sequence", ITEMS)
def test_what_items_must_hold_is_what_the_standard_says_somewhere(sequence: str) -> None:
    ours = {*ITEMS[sequence].filled.split(), *ITEMS[sequence].present.split()}
    told = {
        attribute["keyword"]
        for module in standard("module_attribute_map").values()
        for attribute in module
        if attribute["path"] and attribute["path"][-1] == sequence
    }
    assert told >= ours
    assert all(tag_for_keyword(keyword) for keyword in ours)
