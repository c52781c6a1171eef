"""What every table of a card is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Estimate", "Fraction", "ShortText", "Table", "Text", "Weights"]

Text = Annotated[str, Field(min_length=1)]
# Fits VR LO (PS3.5 section 6.2): a backslash would make two values of it.
ShortText = Annotated[str, Field(max_length=64, pattern=r"^[^\\\x00-\x1f\x7f]+$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Table(BaseModel):
    """One table of a card: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Weights(Table):
    """A file with numbers, or the program that has them in it, and what it must be."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*\.(safetensors|pt|pt2|onnx)$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Estimate(Table):
    """A measured value with its 95 % confidence interval."""

    value: Fraction
    low: Fraction
    high: Fraction
