"""The last look at an object before it leaves: what breaks a rule of the standard is not sent.

Fast and always on. What a whole validator knows is not repeated here: `attributes` has what
each kind of object must hold, `values` what a value may look like, `rules` what has to
fit together, `content` how a Structured Report must be built so that no viewer loses a part.
"""

from pydicom import Dataset

from dicomnode.errors import ReportError
from dicomnode.report.gate import attributes, content, rules, values
from dicomnode.report.reading import value

__all__ = ["belongs", "check"]

_NAMED = 5  # rules that a message names
_WHOSE = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")


def check(ds: Dataset) -> None:
    """Nothing, where the object keeps every rule.

    Raises:
        ReportError: it breaks one; the message names attributes and rules, never a value.
    """
    plain, problems = values.read(ds)
    problems += attributes.problems(plain)
    if not problems:  # what follows takes for granted that every attribute is there
        problems = [*rules.problems(plain), *content.problems(plain)]
    if problems:
        named = list(dict.fromkeys(problems))
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise ReportError(f"not sent: {'; '.join(named[:_NAMED])}{more}")


def belongs(ds: Dataset, header: Dataset) -> None:
    """Nothing, where the object speaks of the patient and the study of `header`.

    Raises:
        ReportError: it does not; the message names the attribute, never a value.
    """
    for keyword in _WHOSE:
        # Empty groups at the end of a name may be left out (PS3.5 section 6.2.1.2).
        if value(ds, keyword).rstrip("=") != value(header, keyword).rstrip("="):
            raise ReportError(f"not sent: {keyword} is not that of the images")
