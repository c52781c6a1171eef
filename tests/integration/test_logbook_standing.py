from dataclasses import replace

import pytest

from dicomnode.errors import NotFound
from dicomnode.logbook import configurations, standing
from dicomnode.logbook.standing import Node, PeerHealth, Sample
from dicomnode.storage.database import Database
from tests.worklist import NOW, after

NODE = Node(
    holder="DICOMNODE@here", version="1", port=11112, started_at=NOW, seen_at=NOW, digest="a" * 64
)
SAMPLE = Sample(
    holder=NODE.holder, at=NOW, cpu=0.25, gpu=None, memory_bytes=5 * 10**9, disk_free_bytes=10**12
)
FILES = {"node.toml": "", "peers/pacs.toml": 'ae_title = "PÄCS"\r\n'}
WEEK_S = 7 * 86400


def test_a_node_says_how_it_stands_again_and_again(database: Database) -> None:
    later = replace(
        NODE, seen_at=after(10), digest="b" * 64, mistakes=("line 1",), restart=("receive.port",)
    )
    with database.transaction() as tx:
        standing.report(tx, NODE)
        assert standing.nodes_known(tx) == [NODE]
        standing.report(tx, later)

        assert standing.nodes_known(tx) == [later]


def test_the_node_that_was_seen_last_comes_first_and_one_of_last_week_is_forgotten(
    database: Database,
) -> None:
    other = replace(NODE, holder="OTHER@here", seen_at=after(1))
    with database.transaction() as tx:
        standing.report(tx, NODE)
        standing.report(tx, other)
        assert standing.nodes_known(tx) == [other, NODE]

        again = replace(other, seen_at=after(WEEK_S + 0.5))
        standing.report(tx, again)
        assert standing.nodes_known(tx) == [again]


def test_samples_of_a_week_are_kept(database: Database) -> None:
    soon, last = replace(SAMPLE, at=after(60), gpu=0.5), replace(SAMPLE, at=after(WEEK_S + 1))
    with database.transaction() as tx:
        for sample in (SAMPLE, SAMPLE, replace(SAMPLE, holder="OTHER@here"), soon):
            standing.add_sample(tx, sample)
        assert standing.samples_since(tx, NOW, NODE.holder) == [SAMPLE, soon]
        assert standing.samples_since(tx, after(1), NODE.holder) == [soon]

        standing.add_sample(tx, last)
        assert standing.samples_since(tx, NOW, NODE.holder) == [soon, last]


def test_a_peer_that_stops_hearing_us_was_heard_before(database: Database) -> None:
    with database.transaction() as tx:
        assert standing.peers(tx) == {}
        standing.echoed(tx, "silent", "no route", now=NOW)
        standing.echoed(tx, "pacs", "", now=NOW)
        standing.echoed(tx, "pacs", "timeout", now=after(60))

        assert standing.peers(tx) == {
            "pacs": PeerHealth(peer="pacs", echoed_at=after(60), problem="timeout", heard_at=NOW),
            "silent": PeerHealth(peer="silent", echoed_at=NOW, problem="no route", heard_at=None),
        }
        standing.echoed(tx, "pacs", "", now=after(120))
        assert standing.peers(tx)["pacs"].heard_at == after(120)


def test_a_configuration_is_remembered_whole_and_once(database: Database) -> None:
    with database.transaction() as tx:
        assert configurations.newest(tx) is None
        configurations.remember(tx, FILES, "ada", "a peer", now=NOW)
        configurations.remember(tx, dict(reversed(FILES.items())), "", "", now=after(1))

        (only,) = configurations.listed(tx)
        assert (only.user, only.note, only.at, only.files) == ("ada", "a peer", NOW, FILES)
        assert configurations.newest(tx) == configurations.of(tx, only.id) == only


def test_what_was_in_force_before_is_remembered_again_when_it_comes_back(
    database: Database,
) -> None:
    with database.transaction() as tx:
        for second, files in enumerate((FILES, FILES | {"node.toml": "[log]"}, FILES)):
            configurations.remember(tx, files, "", "", now=after(second))

        third, second_, first = configurations.listed(tx)
        assert third.digest == first.digest != second_.digest
        assert configurations.listed(tx, before=third.id, limit=1) == [second_]


def test_a_configuration_that_is_not_there_is_said(database: Database) -> None:
    with database.reading() as tx, pytest.raises(NotFound, match="no configuration 7"):
        configurations.of(tx, 7)
