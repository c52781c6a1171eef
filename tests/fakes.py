"""Doubles that keep the promise of what they stand for."""

import threading

from dicomnode.records import Association

__all__ = ["RememberingListener"]


class RememberingListener:
    """A `receive.desk.Listener` that writes down what it is told."""

    def __init__(self) -> None:
        self.kept_uids: list[str] = []
        self.ends: list[Association] = []
        self._told = threading.Condition()

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        self.kept_uids.append(sop_instance_uid)

    def ended(self, association: Association) -> None:
        with self._told:
            self.ends.append(association)
            self._told.notify_all()

    def wait_ended(self, count: int, timeout_s: float = 5.0) -> bool:
        """Have `count` associations ended?"""
        with self._told:
            return self._told.wait_for(lambda: len(self.ends) >= count, timeout_s)
