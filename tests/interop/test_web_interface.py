"""Schemathesis asks everything that the interface says it can be asked, and much that it cannot.

Half of what it asks is about what is there; the cases are the same at every run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from dicomnode.people import accounts, keys
from dicomnode.people.accounts import Role
from dicomnode.storage.database import Database
from dicomnode.web.api.openapi import described
from dicomnode.web.app import build_app
from dicomnode.web.site import Site
from tests.factories import uid
from tests.web import make_site
from tests.worklist import delivered_job, failed_job, not_analysed_job, waiting_job

CHECKS = [content_type_conformance, response_schema_conformance]
#: What a path may name that is there; or nothing of it, and Schemathesis chooses.
THERE: dict[str, st.SearchStrategy[Any]] = {
    "study_uid": st.sampled_from([None, uid("delivered_job"), uid("failed_job")]),
    "job_id": st.sampled_from([None, 1, 2, 3, 4]),
    "name": st.sampled_from([None, "pacs", "all"]),
    "number": st.sampled_from([None, 1]),
    "place": st.sampled_from([None, 0]),
}


@pytest.fixture
def site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    site = make_site(tmp_path, Database(sqlite_url))
    with site.database.transaction() as tx:
        for fate in (delivered_job, not_analysed_job, failed_job, waiting_job):
            fate(tx, study_uid=uid(fate.__name__))
    yield site
    site.database.close()


@pytest.fixture
def sent(site: Site) -> dict[str, str]:
    """The headers of an administrator's script."""
    with site.database.transaction() as tx:
        accounts.add(tx, "ada", Role.ADMINISTRATOR, None, now=site.now())
        ada = accounts.demand(tx, "ada")
        key = keys.make(tx, ada, "a test", Role.ADMINISTRATOR, None, now=site.now())
    return {"authorization": f"Bearer {key}"}


def operations() -> list[tuple[str, str]]:
    """Method and path of each; nothing is asked, so there need be no site."""
    paths = described(build_app(cast(Site, None)))["paths"]
    return [(method, path) for path, found in paths.items() for method in found]


@pytest.mark.parametrize(("method", "path"), operations())
def test_whatever_is_sent_the_answer_is_as_described(
    site: Site, sent: dict[str, str], method: str, path: str
) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", build_app(site), headers=sent)

    ready = path == "/health/ready"  # says that it is not by 503
    checks = CHECKS if ready else [*CHECKS, not_a_server_error]

    @given(case=schema[path][method].as_strategy(), there=st.fixed_dictionaries(THERE))
    @settings(
        max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    def ask(case: schemathesis.Case[Any], there: dict[str, Any]) -> None:
        for name in case.path_parameters:
            if there[name] is not None:
                case.path_parameters[name] = there[name]
        if case.path_parameters.get("name") != "ada":  # who holds the key
            case.call_and_validate(headers=sent, checks=checks)

    ask()
