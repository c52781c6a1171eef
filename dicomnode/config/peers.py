"""`peers/NAME.toml`: one remote AE."""

import re
from collections.abc import Container
from itertools import count

from pydantic import Field, PositiveFloat, ValidationInfo, field_validator

from dicomnode.config.fields import AETitle, Host, Port, Section
from dicomnode.records import Peer

__all__ = ["PeerSettings", "name_for"]


class PeerSettings(Section):
    """A remote AE: may it send to us, does it answer C-FIND, where do results go."""

    ae_title: AETitle = Field(description="Its AE title.")
    host: Host = Field(min_length=1, description="Its host name or address.")
    port: Port | None = Field(
        None,
        description=(
            "The TCP port it listens on. What only sends, such as a modality, needs none: leave it "
            "out. Needed to store results there, for C-ECHO, C-FIND and Storage Commitment."
        ),
        examples=[104],
    )
    may_send: bool = Field(
        False, description="May it send images to us? Unknown callers are always refused."
    )
    answers_find: bool = Field(
        False,
        description=(
            "Does it answer C-FIND? Then it is asked how many images a study has before the study "
            "counts as complete. Leave it off where it routes only a part of its studies: what is "
            "never sent would be waited for, and the result marked partial."
        ),
    )
    storage_commitment: bool = Field(
        False,
        description=(
            "After results are stored, ask it to confirm that it keeps them (Storage Commitment)?"
        ),
    )
    timeout_s: PositiveFloat = Field(
        30.0, description="How long to wait for a connection, and for each answer, in seconds."
    )

    @field_validator("answers_find", "storage_commitment")
    @classmethod
    def _can_be_called(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and info.data.get("port", 1) is None:
            raise ValueError("needs the port on which the peer listens: set port")
        return wanted

    def peer(self, name: str) -> Peer:
        """The noun that travels, named after its file."""
        return Peer(name=name, **self.model_dump(exclude_none=True))


def name_for(ae_title: str, taken: Container[str]) -> str:
    """A name that a peer's file can have, made from its AE title, and that is not taken."""
    plain = re.sub(r"[^a-z0-9]+", "_", ae_title.lower()).strip("_") or "peer"
    names = (f"{plain}_{number}" if number > 1 else plain for number in count(1))
    return next(name for name in names if name not in taken)
