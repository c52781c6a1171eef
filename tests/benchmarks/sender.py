"""One association of a measurement, in a process of its own: `python sender.py '{...}'`.

Associates, says `ready`, waits for a line, sends, and prints what it measured as JSON. Each request
waits for the answer to the one before, as every real SCU does.
"""

import json
import sys
import time

from dicomnode.cli.replay import SAMPLES, ReplayAssociation, UIDs, multiframe


def main(port: int, called: str, sample: str, count: int, gigabytes: float = 0.0) -> None:
    """Send `count` objects like one sample; `started` and `ended` are of the monotonic clock."""
    look = multiframe(gigabytes) if gigabytes else SAMPLES[sample]
    uids, spent, refused = UIDs(), [], 0
    study, series = next(uids), next(uids)
    association = ReplayAssociation(port, called, "BENCH", look, timeout_s=300).accepted()
    with association:
        message = association.message(study, series)
        print("ready", flush=True)
        sys.stdin.readline()
        started = before = time.monotonic()
        for _ in range(count):
            refused += association.store(message, next(uids)) != 0
            now = time.monotonic()
            spent.append(now - before)
            before = now
        print(
            json.dumps(
                {
                    "started": started,
                    "ended": before,
                    "spent_s": spent,
                    "bytes": count * message.bytes,
                    "refused": refused,
                }
            ),
            flush=True,
        )
        association.release()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
