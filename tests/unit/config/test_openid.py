from pathlib import Path

import pytest

from dicomnode.config.load import load
from dicomnode.errors import ConfigError
from tests.cli import configure

GOOD = {
    "issuer": '"https://login.example.org"',
    "client_id": '"dicomnode"',
    "page": '"https://node.example.org/"',
    "viewers": '["radiology"]',
}


def written(folder: Path, **changed: str | None) -> Path:
    lines = [f"{key} = {value}" for key, value in (GOOD | changed).items() if value is not None]
    return configure(folder, node="\n".join(["[web.openid]", *lines, ""]))


def test_a_provider_with_all_that_it_needs(tmp_path: Path) -> None:
    openid = load(written(tmp_path)).node.web.openid
    assert (openid.host, openid.page) == ("login.example.org", "https://node.example.org")


def test_without_an_issuer_nothing_else_is_needed(tmp_path: Path) -> None:
    assert load(configure(tmp_path)).node.web.openid.issuer == ""


@pytest.mark.parametrize(
    ("changed", "key", "problem"),
    [
        ({"issuer": '"http://login.example.org"'}, "issuer", "must begin with https://"),
        ({"issuer": '"login.example.org"'}, "issuer", "must begin with https://"),
        ({"client_id": None}, "client_id", "is missing"),
        ({"page": None}, "page", "is missing"),
        ({"page": '"http://node.example.org"'}, "page", "must begin with https://"),
        ({"viewers": None}, "administrators", "no group is named"),
        ({"client_secret_file": '"secret"'}, "client_secret_file", "absolute path"),
    ],
)
def test_what_is_wrong_is_said_at_its_key(
    tmp_path: Path, changed: dict[str, str | None], key: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as told:
        load(written(tmp_path, **changed))
    (mistake,) = told.value.mistakes
    assert mistake.key == f"web.openid.{key}"
    assert problem in mistake.problem


@pytest.mark.parametrize("proxy", ["proxy.example.org", "10.0.0.1/8", "*", ""])
def test_a_proxy_is_an_address_or_a_network(tmp_path: Path, proxy: str) -> None:
    node = f'[web]\nproxies = ["127.0.0.1", "{proxy}"]\n'
    with pytest.raises(ConfigError, match="an address, or a network such as"):
        load(configure(tmp_path, node=node))
