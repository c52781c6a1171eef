"""`peers/NAME.toml`: one remote AE."""

from pydantic import Field, PositiveFloat

from dicomnode.config.fields import AETitle, Host, Port, Section
from dicomnode.records import Peer

__all__ = ["PeerSettings"]


class PeerSettings(Section):
    """A remote AE: may it send to us, does it answer C-FIND, where do results go."""

    ae_title: AETitle = Field(description="Its AE title.")
    host: Host = Field(min_length=1, description="Its host name or address.")
    port: Port = Field(description="The TCP port it listens on.")
    may_send: bool = Field(
        False, description="May it send images to us? Unknown callers are always refused."
    )
    answers_find: bool = Field(
        False,
        description=(
            "Does it answer C-FIND? Then it is asked how many images a study has before the study "
            "counts as complete. Say false where it routes only a part of its studies: what is "
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

    def peer(self, name: str) -> Peer:
        """The noun that travels, named after its file."""
        return Peer(name=name, **self.model_dump())
