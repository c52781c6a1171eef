from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.audit.events import Deed
from dicomnode.errors import AccountError, NotFound
from dicomnode.logbook import audit
from dicomnode.logbook.audit import Search
from dicomnode.people import accounts, keys, sessions
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def people(database: Database) -> Database:
    with database.transaction() as tx:
        for name in ("ada", "bob"):
            accounts.add(tx, name, Role.ADMINISTRATOR, "hash", now=NOW)
    return database


def test_a_name_is_somebodys_in_any_capitals(people: Database) -> None:
    with people.transaction() as tx, pytest.raises(AccountError, match="a user ada already"):
        accounts.add(tx, "ADA", Role.VIEWER, None, now=NOW)


@pytest.mark.parametrize("name", ["", "a b", "a\0b", "é", "x" * 65, "-a"])
def test_what_is_no_name_is_nobodys(people: Database, name: str) -> None:
    with people.transaction() as tx:
        assert accounts.get(tx, name) is None
        with pytest.raises(AccountError, match="cannot be a name"):
            accounts.add(tx, name, Role.VIEWER, None, now=NOW)
        with pytest.raises(NotFound):
            accounts.set_role(tx, name, Role.VIEWER)


def test_of_two_administrators_who_remove_each_other_at_once_one_stays(people: Database) -> None:
    def remove(name: str) -> bool:
        try:
            with people.transaction() as tx:
                accounts.remove(tx, name)
        except AccountError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, ["ada", "bob"])) == [False, True]


def test_who_is_removed_leaves_no_session_and_no_key(people: Database) -> None:
    with people.transaction() as tx:
        session = sessions.begin(tx, "ada", address="10.0.0.1", now=NOW)
        key = keys.make(tx, accounts.demand(tx, "ada"), "x", Role.VIEWER, None, now=NOW)
        assert sessions.of(tx, "ada")[0].address == "10.0.0.1"
        assert sessions.whose(tx, session, longest=DAY, idle=HOUR, now=NOW)
        assert keys.whose(tx, key, now=NOW)
        accounts.remove(tx, "ada")
        assert not sessions.whose(tx, session, longest=DAY, idle=HOUR, now=NOW)
        assert not keys.whose(tx, key, now=NOW)
        assert [each.user.name for each in accounts.listed(tx)] == ["bob"]


def test_members_are_listed_with_what_is_open(people: Database) -> None:
    with people.transaction() as tx:
        for hours in (1, 2):
            sessions.begin(tx, "ada", now=NOW + hours * HOUR)
        keys.make(tx, accounts.demand(tx, "bob"), "x", Role.VIEWER, None, now=NOW)
        ada, bob = accounts.listed(tx)

    assert (ada.sessions, ada.keys, ada.seen_at) == (2, 0, NOW + 2 * HOUR)
    assert (bob.sessions, bob.keys, bob.seen_at) == (0, 1, None)


def test_who_logs_in_elsewhere_makes_keys_that_end(people: Database) -> None:
    with people.transaction() as tx:
        accounts.add(tx, "eve", Role.VIEWER, None, subject="issuer eve", now=NOW)
        eve = accounts.logs_in_as(tx, "issuer eve")
        assert eve is not None
        for ends_at in (None, NOW + 91 * DAY):
            with pytest.raises(AccountError, match="90 days"):
                keys.make(tx, eve, "x", Role.VIEWER, ends_at, now=NOW)
        keys.make(tx, eve, "x", Role.VIEWER, NOW + 90 * DAY, now=NOW)
        with pytest.raises(AccountError, match="no password here"):
            accounts.set_password(tx, "eve", "hash")
        with pytest.raises(AccountError, match="follows the groups"):
            accounts.set_role(tx, "eve", Role.OPERATOR)


def test_the_trail_is_searched(people: Database) -> None:
    with people.transaction() as tx:
        for number in range(6):
            at = NOW + number * HOUR
            user, action = f"u{number % 2}", f"a{number % 3}"
            audit.note(tx, Deed(at=at, user=user, address="", action=action, study_uid="1.2"))
        found = audit.listed(tx, Search(user="u1", since=NOW + HOUR, until=NOW + 5 * HOUR))
        assert [number for number, _ in found] == [4, 2]
        assert audit.actions(tx) == ["a0", "a1", "a2"]
        assert not audit.listed(tx, Search(user="\0nobody", study_uid="1.3"))
