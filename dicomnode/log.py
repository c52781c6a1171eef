"""Logging: dotted events with fields, the job bound once, and never a patient.

A record leaves only as its event name and those of its `extra` fields that stand in `FIELDS`.
Only who begins a process, or takes over other settings, calls `configure`; modules ask for
`logging.getLogger(__name__)`.
"""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["FIELDS", "configure", "working_on"]

#: Everything a log line may carry. UIDs name objects, not people; nothing here describes a patient.
FIELDS = frozenset(
    {
        "address", "aet", "association", "attempt", "attempts", "called_ae", "calling_ae", "count",
        "error", "exit_code", "file", "job", "model", "peer", "pid", "pipeline", "port", "problem",
        "received", "refused", "retry_in_s", "runtime", "seconds", "sop_instance_uid", "state",
        "status", "stored", "study_uid", "worker",
    }
)  # fmt: skip

_job: ContextVar[int | None] = ContextVar("job", default=None)


@contextmanager
def working_on(job_id: int) -> Iterator[None]:
    """Put the job's number on every line logged inside the block."""
    token = _job.set(job_id)
    try:
        yield
    finally:
        _job.reset(token)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = {name: value for name, value in vars(record).items() if name in FIELDS}
    job = _job.get()
    return found if job is None else {"job": job} | found


def _event(record: logging.LogRecord) -> str:
    """Our own events are constant; other libraries' texts may quote a dataset and are not shown."""
    if record.name.split(".")[0] == "dicomnode":
        return str(record.msg)
    return f"{record.name}.{record.levelname.lower()}"


def _where(record: logging.LogRecord) -> str | None:
    """The kind of an exception and where it was raised; its text may quote a dataset."""
    if not record.exc_info or record.exc_info[0] is None:
        return None
    trace = record.exc_info[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return f"{record.exc_info[0].__name__} at {place}"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = f"{at} {record.levelname:<7} {_event(record)}"
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        where = _where(record)
        return " ".join(part for part in (line, fields, where and f"raised={where!r}") if part)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": _event(record)}
        where = _where(record)
        return json.dumps(
            line | _fields(record) | ({"raised": where} if where else {}), default=str
        )


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or not c.isprintable() for c in text) else text


def configure(
    *, level: str = "INFO", json_lines: bool = False, stream: TextIO | None = None
) -> None:
    """Send log lines to `stream` (standard error), as text or as one JSON object a line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if json_lines else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dicomnode").setLevel(level)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.captureWarnings(True)  # pydicom's quote values: they pass through here, or not at all
    threading.excepthook = _thread_died


def _thread_died(args: threading.ExceptHookArgs) -> None:
    """Python would print the exception's text, which may quote a dataset."""
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        raised = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger(__name__).critical("thread.died", exc_info=raised)
