import pytest
from fastapi.testclient import TestClient

from dicomnode.config.load import read
from dicomnode.web.site import Site
from tests.web_forms import PACS


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("a b", "a name has 1 to 64 letters, digits, hyphens and underscores; "),
        ("ct", "there is one of this name already."),
    ],
)
def test_a_name_that_can_be_none_is_told_where_it_was_typed(
    site: Site, browser: TestClient, new: str, why: str
) -> None:
    (site.config / "peers" / "ct.toml").write_text(PACS.replace("PACS", "CT"))
    before = read(site.config)
    answer = browser.post("/configuration/peers/pacs/rename", data={"new": new})
    assert answer.status_code == 422
    assert "Peer pacs</h1>" in answer.text
    assert f"It was not renamed: {why}" in answer.text
    assert f'name="new" value="{new}"' in answer.text
    assert read(site.config) == before
