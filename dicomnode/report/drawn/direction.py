"""Text in the order in which it is drawn: Hebrew and Arabic from the right, Arabic letters joined.

Enough of the Unicode bidirectional algorithm (UAX #9) for names and labels in a line that else runs
from left to right: what stands between letters of such a script goes with them, numbers stay.
"""

import re
from functools import cache
from unicodedata import decomposition

__all__ = ["visual"]

_SCRIPTS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_RUN = re.compile(rf"[{_SCRIPTS}](?:[{_SCRIPTS}]|[\W\d_](?=[\W\d_]*[{_SCRIPTS}]))*")
_CLOSED = re.compile(rf"({_RUN.pattern})([)\]}}]?)")
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
_CLUSTER = re.compile(rf"\d+(?:[.,/]\d+)*|.[{_MARKS}]*", re.DOTALL)
_JOINING = re.compile(rf"(\u0644[\u0622\u0623\u0625\u0627]|.)([{_MARKS}]*)", re.DOTALL)
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def visual(text: str) -> str:
    """The characters from left to right as they are drawn; most text as it is."""
    return _CLOSED.sub(lambda found: _placed(found[1], found[2]), text)


def _placed(run: str, closing: str) -> str:
    """A run as drawn; the bracket behind it goes with it where it was opened in it (UAX #9 N0)."""
    if closing and closing.translate(_MIRRORED) in run:
        return _turned(_joined(run + closing))
    return _turned(_joined(run)) + closing


def _turned(run: str) -> str:
    clusters = _CLUSTER.findall(run)
    return "".join(cluster.translate(_MIRRORED) for cluster in reversed(clusters))


def _joined(run: str) -> str:
    """Arabic letters in the forms that their neighbours give them (Unicode 9.2)."""
    parts = _JOINING.findall(run)
    forms = [_forms().get(letters, {}) for letters, _ in parts]
    drawn = ""
    for place, (letters, marks) in enumerate(parts):
        before = place > 0 and "initial" in forms[place - 1] and "final" in forms[place]
        after = "initial" in forms[place] and "final" in (*forms, {})[place + 1 :][0]
        name = {(True, True): "medial", (True, False): "final", (False, True): "initial"}.get(
            (before, after), "isolated"
        )
        drawn += forms[place].get(name, letters) + marks
    return drawn


@cache
def _forms() -> dict[str, dict[str, str]]:
    """Of each letter, or pair that is drawn as one, its forms by name."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBB2), *range(0xFBD3, 0xFBEA), *range(0xFBFC, 0xFC00),
                 *range(0xFE80, 0xFEFD)):  # fmt: skip
        name, *letters = decomposition(chr(code)).split() or [""]
        named = "".join(chr(int(letter, 16)) for letter in letters)
        if name.startswith("<"):
            forms.setdefault(named, {})[name.strip("<>")] = chr(code)
    return forms
