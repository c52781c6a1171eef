import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dicomnode.log import FIELDS, configure, working_on

PATIENT = "SYNTHETIC^ONE"

log = logging.getLogger("dicomnode.tests")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before the test."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = list(root.handlers), root.level
    loggers = {
        name: logging.getLogger(name).level for name in ("dicomnode", "pynetdicom", "pydicom")
    }
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(False)
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)
    for name, before in loggers.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture(params=[False, True], ids=["text", "json"])
def out(request: pytest.FixtureRequest) -> io.StringIO:
    """Where the lines go, once for each format."""
    stream = io.StringIO()
    configure(level="DEBUG", json_lines=request.param, stream=stream)
    return stream


@pytest.fixture
def lines() -> io.StringIO:
    """Where the lines go, as JSON."""
    stream = io.StringIO()
    configure(json_lines=True, stream=stream)
    return stream


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_a_time_a_level_an_event_and_its_fields(lines: io.StringIO) -> None:
    log.info("store.kept", extra={"count": 512, "sop_instance_uid": "1.2.3"})

    (line,) = parsed(lines)
    assert datetime.fromisoformat(line.pop("at")).utcoffset() == timedelta(0)
    assert line == {
        "level": "info",
        "event": "store.kept",
        "count": 512,
        "sop_instance_uid": "1.2.3",
    }


def test_a_line_of_text_reads_from_left_to_right() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    log.warning("peer.away", extra={"peer": "pacs", "error": "no answer", "port": 104})

    rest = stream.getvalue().partition(" ")[2]
    assert rest == "WARNING peer.away peer=pacs error='no answer' port=104\n"


def test_only_fields_on_the_list_get_out(out: io.StringIO) -> None:
    log.info("store.kept", extra={"patient_name": PATIENT, "dataset": PATIENT, "port": 104})

    assert PATIENT not in out.getvalue()
    assert "104" in out.getvalue()


def test_no_field_on_the_list_describes_a_patient() -> None:
    words = ("patient", "birth", "sex", "accession", "dataset", "name")

    assert not [field for field in FIELDS if any(word in field for word in words)]


def test_an_exception_is_named_with_its_place_and_without_its_text(out: io.StringIO) -> None:
    try:
        raise ValueError(f"cannot read {PATIENT}")
    except ValueError:
        log.exception("job.crashed")

    assert PATIENT not in out.getvalue()
    assert "ValueError at " in out.getvalue()
    assert "test_log.py:" in out.getvalue()


def test_a_chain_of_exceptions_keeps_its_texts_to_itself(out: io.StringIO) -> None:
    try:
        try:
            raise KeyError(PATIENT)
        except KeyError as error:
            raise RuntimeError(PATIENT) from error
    except RuntimeError:
        log.exception("job.crashed", stack_info=True)

    assert PATIENT not in out.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "pynetdicom.acse", "sqlalchemy.pool", "else"])
def test_the_words_of_another_library_do_not_get_out(out: io.StringIO, name: str) -> None:
    logging.getLogger(name).critical("Invalid value for VR PN: %s", PATIENT)

    assert PATIENT not in out.getvalue()
    assert f"{name}.critical" in out.getvalue()


def test_a_warning_says_that_there_was_one_and_not_what_it_quotes(
    out: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    warnings.simplefilter("always")
    warnings.warn(f"The value length of {PATIENT} is too long", stacklevel=1)

    assert "py.warnings.warning" in out.getvalue()
    assert PATIENT not in out.getvalue() + "".join(capfd.readouterr())


def test_a_thread_that_dies_is_named_without_the_text(
    out: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    def die() -> None:
        raise ValueError(PATIENT)

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()

    assert "thread.died" in out.getvalue()
    assert "ValueError at " in out.getvalue()
    assert PATIENT not in out.getvalue() + "".join(capfd.readouterr())


def test_a_thread_that_leaves_by_sys_exit_did_not_die(out: io.StringIO) -> None:
    def leave() -> None:
        raise SystemExit

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()

    assert out.getvalue() == ""


def test_a_value_cannot_forge_a_line(out: io.StringIO) -> None:
    log.info("peer.away", extra={"error": "no\n2025-01-02 INFO job.delivered\x1b[31m", "peer": ""})

    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


def test_the_job_stands_on_every_line_within_its_block(lines: io.StringIO) -> None:
    log.info("a.before")
    with working_on(7):
        log.info("b.within")
        with working_on(8):
            log.info("c.deeper")
        log.info("d.within", extra={"job": 9})
    log.info("e.after")

    assert [line.get("job") for line in parsed(lines)] == [None, 7, 8, 9, None]


def test_another_thread_is_not_working_on_the_job(lines: io.StringIO) -> None:
    with working_on(7):
        thread = threading.Thread(target=log.info, args=("a.elsewhere",))
        thread.start()
        thread.join()

    assert "job" not in parsed(lines)[0]


def test_what_json_does_not_know_is_written_as_text(lines: io.StringIO) -> None:
    log.info("store.kept", extra={"file": Path("kept"), "peer": "Größe"})

    assert parsed(lines)[0]["file"] == "kept"
    assert parsed(lines)[0]["peer"] == "Größe"


def test_less_severe_events_than_the_level_are_left_out() -> None:
    stream = io.StringIO()
    configure(level="WARNING", stream=stream)

    log.info("store.kept")
    log.warning("peer.away")

    assert "store.kept" not in stream.getvalue()
    assert "peer.away" in stream.getvalue()


def test_configuring_twice_writes_each_line_once(lines: io.StringIO) -> None:
    configure(json_lines=True, stream=lines)

    log.info("store.kept")

    assert len(parsed(lines)) == 1
