"""What is wrong and what would help, where nothing has to be looked up to say so.

Names between backticks are what people type somewhere; `{who}` is the caller.
"""

from collections.abc import Mapping

from dicomnode.errors import (
    BadUID,
    Conflict,
    DicomnodeError,
    Mismatch,
    StoreError,
    StoreFull,
    TooLarge,
    Trouble,
    Unreadable,
)

__all__ = ["OBJECTS", "PLAIN"]

_TLS = "under receive in the node's configuration"

#: Reason and remedy of what needs no looking.
PLAIN: Mapping[Trouble, tuple[str, str]] = {
    Trouble.TOO_MANY: (
        "as many associations were open as are allowed",
        "Most senders try again by themselves. Where it happens often, raise "
        "`receive.max_associations`, or have senders open fewer at once.",
    ),
    Trouble.TOO_MANY_OF_ONE: (
        "{who} had as many associations open as one caller may have, so that others find room",
        "Have it open fewer at once, or raise `receive.max_associations` or "
        "`receive.max_associations_of_one`. One that does not release its associations keeps its "
        "places until `receive.idle_timeout_s` is over.",
    ),
    Trouble.LOW_DISK: (
        "the disk was nearly full, so no images were let in",
        "Free some space, shorten `storage.keep_days`, or lower `storage.low_water_bytes`. "
        "Senders that try again get in by themselves then.",
    ),
    Trouble.VERSION: (
        "the sender speaks another version of the DICOM upper layer",
        "Only version 1 has ever been published (PS3.8 9.3.2): the program at {who} is broken, or "
        "no DICOM program.",
    ),
    Trouble.APPLICATION: (
        "the sender's application context is not DICOM's",
        "The program at {who} is broken, or no DICOM program: ask its maker.",
    ),
    Trouble.PLAIN_TO_TLS: (
        "DICOM without TLS came to this port, which speaks TLS only",
        "Turn TLS on for this destination at {who}; or, to do without it, empty "
        f"`receive.tls_certificate` {_TLS}.",
    ),
    Trouble.TLS_TO_PLAIN: (
        "TLS came to this port, which speaks DICOM without it",
        "Turn TLS off for this destination at {who}; or give this node a certificate: "
        f"`receive.tls_certificate` {_TLS}.",
    ),
    Trouble.HTTP: (
        "a web browser or web program called this DICOM port",
        "At {who}, use the port of the page (`web.port`) for this; a DICOMweb destination has to "
        "become a DICOM one.",
    ),
    Trouble.HANDSHAKE: (
        "the TLS handshake failed",
        "{who} does not trust this node's certificate, shows none that `receive.tls_client_ca` "
        "vouches for, or knows nothing newer than TLS 1.1. The words behind tell which: "
        "BAD_CERTIFICATE and UNKNOWN_CA are about certificates, VERSION and CIPHER about age.",
    ),
    Trouble.NO_DICOM: (
        "what came does not begin as DICOM does",
        "Something else than a DICOM program calls this port from {who}: a scan for weak spots, or "
        "a wrong port there.",
    ),
    Trouble.SLOW: (
        "an object came so slowly that it was given up",
        "Look at the network between {who} and this node: a full line, or packets that get lost.",
    ),
    Trouble.ABORTED: (
        "the sender aborted",
        "Its own log says why; often somebody cancelled, or it waited too long for an answer.",
    ),
    Trouble.VIOLATION: (
        "the sender broke the rules of the protocol",
        "Have the maker of the program at {who} look at it; the words behind say where.",
    ),
    Trouble.FAULT: (
        "this node made a mistake of its own",
        "Look for `association.failed` in its log, and tell its makers.",
    ),
    Trouble.LOST: (
        "the process that received it died",
        "What was confirmed to the sender is kept, and another process has taken its place. "
        "Where it happens again, look for `receiver.died` in the log.",
    ),
}

#: What is wrong with objects that were refused, and what would help, by name of the error.
_BY_ERROR: Mapping[type[DicomnodeError] | None, tuple[str, str]] = {
    StoreFull: (
        "there was no room left on the disk",
        "Free some space; the sender may send again then. `storage.min_free_bytes` says how much "
        "must stay free.",
    ),
    StoreError: (
        "the disk did not take them",
        "Look at the disk of `storage.folder`, and for `store.refused` in the log.",
    ),
    Mismatch: (
        "what the sender said of them and what they say themselves differ",
        "Their UIDs or SOP Class were changed on the way without changing the objects, by a router "
        "perhaps: send them from where they come from.",
    ),
    Unreadable: (
        "they cannot be read, or end early",
        "Have the sender verify them; where it has them whole, its transfer syntax is not the one "
        "that it says.",
    ),
    TooLarge: (
        "they are larger than this node takes",
        "Raise `receive.max_object_bytes`.",
    ),
    Conflict: (
        "other images with the same SOP Instance UIDs are kept already",
        "Somebody changed images without giving them new UIDs. Where the sender is right to, set "
        "`receive.conflict` to keep both.",
    ),
    BadUID: (
        "a UID is missing, or is none",
        "The device makes objects that are no DICOM: ask its maker.",
    ),
    None: ("of an error that nobody foresaw", "Look for `store.failed` in the log."),
}

#: The same by the name of the error; empty for one nobody foresaw.
OBJECTS: Mapping[str, tuple[str, str]] = {
    kind.__name__ if kind else "": words for kind, words in _BY_ERROR.items()
}
