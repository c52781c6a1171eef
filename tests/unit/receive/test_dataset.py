"""Streams that end without their association's thanks."""

from typing import cast

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from dicomnode.errors import Unreadable
from dicomnode.receive.dataset import ReceivedDataset, StreamingDimse
from dicomnode.receive.intake import Reception


def refuse(_: DIMSEMessage) -> Reception:
    raise Unreadable("not this one")


def test_what_waits_without_a_dataset_is_forgotten_too() -> None:
    dimse = StreamingDimse(cast(Association, object()), refuse)
    dimse.msg_queue.put((1, C_ECHO()))
    dimse.msg_queue.put((1, C_STORE()))
    dimse.discard()
    assert dimse.msg_queue.empty()


def test_the_first_error_is_told_and_what_follows_is_dropped() -> None:
    message = DIMSEMessage()
    dataset = ReceivedDataset(message, refuse)
    message.__class__ = C_STORE_RQ
    assert dataset.write(b"one") == 3
    assert dataset.write(b"two") == 3
    with pytest.raises(Unreadable, match="not this one"):
        dataset.reception()
    dataset.discard()


def test_a_message_that_is_no_store_cannot_fill_the_memory() -> None:
    dataset = ReceivedDataset(DIMSEMessage(), refuse)
    dataset.write(bytes(200_000))
    with pytest.raises(Unreadable, match="too large"):
        dataset.write(bytes(200_000))
