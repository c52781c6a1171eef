"""The node's measures for Prometheus: figures, and names that the configuration or we ourselves
gave; nothing of patients, and no label that a sender could fill with what it likes.

Counters begin at 0 with the first scrape after the page's process began, and count on at each one
what happened since the one before; the help of each says so.
"""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.registry import Collector

from dicomnode.config.load import Settings
from dicomnode.errors import Cause, DatabaseAway, Trouble
from dicomnode.records import DeliveryState, State, VisitState
from dicomnode.storage.database import Connection, Database
from dicomnode.storage.objects import ObjectStore
from dicomnode.web.monitoring.gauges import OTHER, free, gauge, known, now_standing
from dicomnode.worklist import measures
from dicomnode.worklist.measures import Happened, Marks, Visits

__all__ = ["Measures"]

_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400)
_ACCEPTED = (VisitState.RELEASED, VisitState.ABORTED, VisitState.LOST)
_ROW_KEPT = timedelta(hours=2)  #: alike associations are counted in one row for an hour
#: Lines of history that tell of something that went wrong.
_FAILURES = (
    State.FAILED,
    State.HELD,
    State.INCOMPLETE,
    State.UNDELIVERED,
    State.NOT_ANALYSED,
    "refused",
    "conflict",
    "unmatched",
)

_SINCE = "since the first scrape after the page's process began"

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter began tells nothing


class Measures:
    """Counts, and what is asked for anew at each scrape; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: Marks | None = None
        self._rows: dict[Visits, int] = {}  #: associations that were counted, by row
        self._now: list[Gauge] = []
        self._registry = CollectorRegistry()
        self._registry.register(_Standing(self._now))
        self._studies = self._counter("studies_received", "New studies, by who sends", "peer")
        self._images = self._counter("instances_received", "Images, by who sends", "peer")
        self._moves = self._counter("job_moves", "Jobs that came to a state", "pipeline", "state")
        self._failures = self._counter("failures", "What went wrong, by kind", "kind")
        self._causes = self._counter("not_analysed", "Studies not analysed, by why", "cause")
        self._sent = self._counter("results_delivered", "Results that a peer took", "peer", "kind")
        self._refused = self._counter("results_refused", "That it refused for good", "peer", "kind")
        self._visits = self._counter(
            "associations", "Ended, or refused and why", "outcome", "cause"
        )
        self._took = Histogram(
            "dicomnode_result_seconds",
            f"From a job's last image to its results; {_SINCE}",
            ["pipeline"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"dicomnode_{name}", f"{words}; {_SINCE}", labels, registry=self._registry)

    def text(
        self, database: Database, settings: Settings, store: ObjectStore, *, now: datetime
    ) -> bytes:
        """All of it in Prometheus' text format; where the database is away, what is known."""
        with self._lock:
            self._now[:] = [gauge("disk_free_bytes", "Where the objects are", free(store))]
            try:
                with database.reading() as tx:
                    self._now += now_standing(tx, settings, now)
                    self._count(tx, settings, now)
                up = 1.0
            except DatabaseAway:
                up = 0.0
            self._now.append(gauge("database_up", "Does the database answer?", up))
            return generate_latest(self._registry)

    def _count(self, tx: Connection, settings: Settings, now: datetime) -> None:
        self._name(settings)
        if self._marks is None:
            self._marks = measures.mark(tx)
            return
        new = measures.happened(tx, self._marks)
        self._add(new, settings)
        self._add_visits(new.visits, now)
        self._marks = new.marks

    def _name(self, settings: Settings) -> None:
        """What may be counted is there from the beginning: a rate needs the 0 before the 1."""
        for pipeline in settings.pipelines:
            self._took.labels(pipeline)
            for state in State:
                self._moves.labels(pipeline, state)
        for kind in _FAILURES:
            self._failures.labels(kind)
        for cause in Cause:
            self._causes.labels(cause)
        for name, peer in settings.peers.items():
            if peer.may_send:
                self._studies.labels(name)
                self._images.labels(name)
        self._visits.labels("accepted", "")

    def _add(self, new: Happened, settings: Settings) -> None:
        senders = {each.ae_title: name for name, each in settings.peers.items() if each.may_send}
        for title, count in new.studies.items():
            self._studies.labels(senders.get(title, OTHER)).inc(count)
        for title, count in new.instances.items():
            self._images.labels(senders.get(title, OTHER)).inc(count)
        for (pipeline, event, cause), count in new.events.items():
            if event in set(State):
                self._moves.labels(known(pipeline, settings.pipelines), event).inc(count)
            if event in _FAILURES:
                self._failures.labels(event).inc(count)
            if cause:
                self._causes.labels(cause).inc(count)
        self._add_results(new, settings)

    def _add_results(self, new: Happened, settings: Settings) -> None:
        for (peer, kind, event), count in new.deliveries.items():
            counter = self._sent if event == DeliveryState.SENT else self._refused
            counter.labels(known(peer, settings.peers), kind).inc(count)
        for pipeline, seconds in new.took:
            self._took.labels(known(pipeline, settings.pipelines)).observe(seconds)

    def _add_visits(self, rows: Mapping[Visits, int], now: datetime) -> None:
        """Rows may be counted on after they were read: of those only what is more is new."""
        for row, count in rows.items():
            more = count - self._rows.get(row, 0)
            self._rows[row] = count
            _, _, _, state, cause = row
            outcome = "accepted" if state in _ACCEPTED else "refused"
            if more > 0:
                self._visits.labels(outcome, cause if cause in set(Trouble) else "").inc(more)
        self._rows = {row: n for row, n in self._rows.items() if now - row[0] < _ROW_KEPT}


class _Standing(Collector):
    """Gives what was found at this scrape."""

    def __init__(self, found: list[Gauge]) -> None:
        self._found = found

    def collect(self) -> Iterable[Gauge]:
        return list(self._found)
