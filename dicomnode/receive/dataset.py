"""The dataset of a C-STORE, streamed to the intake fragment by fragment.

pynetdicom would gather it in memory. Here the buffer it writes to is a reception on the disk, and
the memory an association can take is one PDU.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from queue import Empty
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from dicomnode.errors import DicomnodeError, Unreadable
from dicomnode.receive.intake import Reception

__all__ = ["ReceivedDataset", "StreamingDimse"]

log = logging.getLogger(__name__)

_MOST_BYTES_IN_MEMORY = 256 * 1024  #: of a command, or of a dataset that is not stored
_MOST_UNANSWERED = 8  #: C-STOREs; we never agree to more than one (PS3.7 D.3.3.3)

Begin = Callable[[DIMSEMessage], Reception]


class _Bounded(BytesIO):
    """A buffer that nobody can blow up."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _MOST_BYTES_IN_MEMORY:
            raise Unreadable("a message that is no C-STORE is too large")
        return super().write(data)


class ReceivedDataset(_Bounded):
    """Takes the fragments of one message; those of a C-STORE go to a reception.

    An error is kept until the sender waits for an answer; the fragments in between are dropped.
    """

    def __init__(self, message: DIMSEMessage, begin: Begin) -> None:
        super().__init__()
        self._message = message
        self._begin = begin
        self._reception: Reception | None = None
        self._error: DicomnodeError | None = None

    def write(self, data: Any) -> int:
        if not isinstance(self._message, C_STORE_RQ):
            return super().write(data)
        if self._error is None:
            try:
                if self._reception is None:
                    self._reception = self._begin(self._message)
                self._reception.write(data)
            except DicomnodeError as error:
                self._error = error
                self.discard()
        return len(data)

    def reception(self) -> Reception:
        """All that came, ready to be kept; or the error that was met on the way."""
        if self._error is not None:
            raise self._error
        if self._reception is None:
            raise Unreadable("the C-STORE has no dataset")
        return self._reception

    def discard(self) -> None:
        """Forget what came; does nothing to what was kept."""
        if self._reception is not None:
            self._reception.discard()


class StreamingDimse(DIMSEServiceProvider):
    """pynetdicom's DIMSE provider, with a dataset that streams."""

    def __init__(self, assoc: Association, begin: Begin) -> None:
        super().__init__(assoc)
        self._begin = begin

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA; whatever is wrong with it ends the association, not its thread."""
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.encoded_command_set = _Bounded()
            self.message.data_set = ReceivedDataset(self.message, self._begin)
        try:
            super().receive_primitive(primitive)
            if self.msg_queue.qsize() > _MOST_UNANSWERED:
                raise Unreadable("the sender does not wait for answers")
        except Exception:  # bytes from outside reach many parsers in there
            log.warning("association.garbled", exc_info=True)
            self.discard()
            self.dul.event_queue.put("Evt19")

    def discard(self) -> None:
        """Forget every dataset that was not kept."""
        if self.message is not None:
            _discard(self.message.data_set)
        with suppress(Empty):
            while True:
                _, message = self.msg_queue.get_nowait()
                if isinstance(message, C_STORE):
                    _discard(message.DataSet)


def _discard(dataset: BytesIO | None) -> None:
    if isinstance(dataset, ReceivedDataset):
        dataset.discard()
