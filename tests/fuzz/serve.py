"""A receiver to be attacked: `python -m tests.fuzz.serve FOLDER`, until its input ends."""

import sys
import warnings
from pathlib import Path

from dicomnode.config.settings import ReceiveSettings
from dicomnode.log import configure
from dicomnode.records import Association
from dicomnode.storage.objects import ObjectStore
from tests.receiver import PEERS, ReceiverHere


class ForgetfulListener:
    """A `receive.desk.Listener` that keeps nothing, so that nothing grows."""

    def kept(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Forget it."""

    def conflict(self, association: Association, study_uid: str, sop_instance_uid: str) -> None:
        """Forget it."""

    def turned_away(self, association: Association) -> None:
        """Forget it."""

    def ended(self, association: Association) -> None:
        """Forget it."""


def main(folder: Path) -> None:
    """Receive."""
    configure(level="WARNING")
    warnings.simplefilter("ignore")  # as dicomnode.receive does
    store = ObjectStore(folder)
    store.prepare()
    settings = ReceiveSettings().model_copy(update={"port": 0, "idle_timeout_s": 5.0})
    receiver = ReceiverHere(settings, PEERS, store, ForgetfulListener())
    receiver.start()
    print(receiver.port, flush=True)
    sys.stdin.read()
    receiver.stop(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
