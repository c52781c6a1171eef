"""A folder of TOML files becomes Settings, or one error that lists every mistake."""

import re
from pathlib import Path

import pytest

from dicomnode.config.fields import Section
from dicomnode.config.load import load, load_right
from dicomnode.config.peers import PeerSettings
from dicomnode.config.pipelines import PipelineSettings
from dicomnode.config.settings import NodeSettings
from dicomnode.errors import ConfigError
from dicomnode.records import Peer, ResultKind
from tests.config_files import CHEST, PACS, mistakes, only, write


def test_an_empty_node_file_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path))

    assert settings.node.receive.port == 11112
    assert settings.peers == {
        "pacs": Peer(name="pacs", ae_title="ORTHANC", host="pacs", port=4242, may_send=True)
    }
    assert settings.pipelines["chest"].results == (ResultKind.SR, ResultKind.SC)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(write(tmp_path))

    with pytest.raises(TypeError):
        settings.peers["other"] = settings.peers["pacs"]  # type: ignore[index]  # the point
    with pytest.raises(ValueError, match="frozen"):
        settings.node.receive.port = 1  # type: ignore[misc]  # the point


def test_a_folder_without_files_names_the_command_that_makes_them(tmp_path: Path) -> None:
    mistake = only(tmp_path / "nowhere")

    assert mistake.file == tmp_path / "nowhere"
    assert "dicomnode init" in mistake.problem


def test_every_mistake_of_every_file_is_listed_in_order(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        node='[receive]\nport = 70000\nae_title = ""\n\n[log]\nlevel = "LOUD"\n',
        peers_pacs=PACS + "timeout_s = -1\n",
        pipelines_chest='destinations = ["pasc"]\nresults = []\n',
    )

    found = mistakes(folder)

    assert [(m.file.name, m.line, m.key) for m in found] == [
        ("node.toml", 2, "receive.port"),
        ("node.toml", 3, "receive.ae_title"),
        ("node.toml", 6, "log.level"),
        ("pacs.toml", 5, "timeout_s"),
        ("chest.toml", 1, "destinations[0]"),
        ("chest.toml", 2, "results"),
    ]


def test_the_message_shows_place_value_and_what_would_be_right(tmp_path: Path) -> None:
    folder = write(tmp_path, node="# ours\n[receive]\nport = 70000\n")

    with pytest.raises(ConfigError) as caught:
        load(folder)

    assert str(caught.value) == (
        f"{folder / 'node.toml'}:3  receive.port = 70000\n    must be less than 65536"
    )


@pytest.mark.parametrize(
    ("node", "line", "key", "problem"),
    [
        ("[receive]\nprot = 1\n", 2, "receive.prot", "is not known; did you mean port?"),
        ("[recieve]\n", 1, "recieve", "is not known; did you mean receive?"),
        ("[receive]\nxyzzy = 1\n", 2, "receive.xyzzy", "is not known"),
        ("keep_days = 1\n", 1, "keep_days", "is not known here; it belongs under [storage]"),
        ("receive = 1\n", 1, "receive", "must be a table of its own"),
        ("receive.port = -1\n", 1, "receive.port", "must be greater than or equal to 0"),
        ('[receive]\n"port" = -1\n', 2, "receive.port", "must be greater than or equal to 0"),
        ('[receive]\nconflict = "both"\n', 2, "receive.conflict", "must be 'refuse' or 'keep'"),
        ('[receive]\nport = "x"\n', 2, "receive.port", "must be a whole number"),
        ("[receive]\nport = 1.5\n", 2, "receive.port", "must be a whole number"),
        ("[receive]\nport = []\n", 2, "receive.port", "must be a whole number"),
        ("[storage]\nkeep_days = 'x'\n", 2, "storage.keep_days", "must be a number"),
        ("[storage]\nkeep_days = {}\n", 2, "storage.keep_days", "must be a number"),
        ("[storage]\nfolder = 1\n", 2, "storage.folder", "must be a path in double quotes"),
        ("[receive]\nport = inf\n", 2, "receive.port", "must be a finite number"),
        (
            "[receive]\nae_title = 12\n",
            2,
            "receive.ae_title",
            "must be text in double quotes",
        ),
        (
            '[receive]\nae_title = "A\\\\B"\n',
            2,
            "receive.ae_title",
            "an AE title has only ASCII letters, digits, signs and spaces, no backslash",
        ),
        (
            '[storage]\nfolder = "data"\n',
            2,
            "storage.folder",
            "must be an absolute path, such as /var/lib/dicomnode",
        ),
        (
            "[deliver]\nlongest_retry_s = 1\n",
            2,
            "deliver.longest_retry_s",
            "must not be less than first_retry_s = 5.0",
        ),
        (
            '[worklist]\nurl = "mysql://db/x"\n',
            2,
            "worklist.url",
            "must begin with postgresql://, or with sqlite:/// and an absolute path, or be empty",
        ),
    ],
)
def test_a_mistake_in_the_node_file(
    tmp_path: Path, node: str, line: int, key: str, problem: str
) -> None:
    mistake = only(write(tmp_path, node=node))

    assert (mistake.line, mistake.key, mistake.problem) == (line, key, problem)


@pytest.mark.parametrize(
    ("chest", "line", "key", "problem"),
    [
        ("", None, "destinations", "is missing: names of the peers that get the results"),
        (
            'destinations = [\n  "pacs",\n  "pasc",\n]\n',
            1,
            "destinations[1]",
            "there is no peers/pasc.toml; did you mean pacs?",
        ),
        (
            CHEST + '[match]\ncalling_ae = ["ORTHANK"]\n',
            3,
            "match.calling_ae[0]",
            "no peer that may send has this ae_title; did you mean ORTHANC?",
        ),
        (
            CHEST + '[match]\nmodality = "DX"\n',
            3,
            "match.modality",
            "must be a list in square brackets",
        ),
        (
            CHEST + '[match]\nsop_class = ["CTImageStorge"]\n',
            3,
            "match.sop_class[0]",
            "is neither a SOP Class UID nor its keyword; did you mean CTImageStorage?",
        ),
        (
            CHEST + '[match]\nsop_class = ["1.2.840.10008.1.2.1"]\n',
            3,
            "match.sop_class[0]",
            "is neither a SOP Class UID nor its keyword",
        ),
        (
            CHEST + '[match.attributes]\nPatentID = ["1"]\n',
            3,
            "match.attributes.PatentID",
            "PatentID is no keyword of the DICOM dictionary; did you mean PatientID?",
        ),
        (
            CHEST + '[match.attributes]\nRequestAttributesSequence = ["1"]\n',
            3,
            "match.attributes.RequestAttributesSequence",
            "RequestAttributesSequence holds no text or number that could be compared",
        ),
    ],
)
def test_a_mistake_in_a_pipeline(
    tmp_path: Path, chest: str, line: int | None, key: str, problem: str
) -> None:
    mistake = only(write(tmp_path, pipelines_chest=chest))

    assert (mistake.line, mistake.key, mistake.problem) == (line, key, problem)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://node:hunter2@db/x",
        "postgresql://db/x?user=node&password=hunter2",
        "hunter2",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    mistake = only(write(tmp_path, node=f'[worklist]\nurl = "{url}"\n'))

    assert mistake.line == 2
    assert "hunter2" not in str(mistake)


@pytest.mark.parametrize("key", ["password", "Passwort", "db_pwd", "api_key", "token", "secret"])
def test_what_may_be_a_secret_is_not_repeated(tmp_path: Path, key: str) -> None:
    mistake = only(write(tmp_path, node=f'[worklist]\n{key} = "hunter2"\n'))

    assert mistake.value == "(not shown)"
    assert "hunter2" not in str(mistake)


def test_a_table_of_secrets_is_not_repeated(tmp_path: Path) -> None:
    mistake = only(write(tmp_path, node='[database]\nlogin = "hunter2"\n'))

    assert "hunter2" not in str(mistake)


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    mistake = only(write(tmp_path, node=f'[receive]\nae_title = "{"A" * 100}"\n'))

    assert len(mistake.value) == 60
    assert mistake.value.endswith("...")


def test_text_without_quotes_is_found_with_its_line(tmp_path: Path) -> None:
    mistake = only(write(tmp_path, peers_other='ae_title = "OTHER"\nhost = 127.0.0.1\n'))

    assert (mistake.file.name, mistake.line) == ("other.toml", 2)
    assert mistake.problem.startswith("is not TOML: ")
    assert mistake.problem.endswith("and a text in double quotes as a whole")


@pytest.mark.parametrize(
    ("node", "line", "problem"),
    [
        ('[log]\nlevel = "INFO\n', 2, "a closing quote is missing"),
        ("[log]\nlevel = 'INFO\n", 2, "a closing quote is missing"),
        ("[log]\nlevel =\n", 2, "a value is missing, or is none of TOML's"),
        ("[log]\nlevel = 1\nlevel = 2\n", 3, "it is said here for the second time"),
        ("[log]\n[log]\n", 2, "it is said here for the second time"),
        ("[log]\nlevel INFO\n", 2, "a line reads key = value"),
        ("[receive]\nport = 104,\n", 2, "more follows the value"),
        ("[web]\nproxies = [1 2]\n", 2, "a list does not end"),
        ("[web\n", 1, "the name of a table stands in square brackets"),
        ('[web]\nx = "C:\\q"\n', 2, "a \\ in a text is written twice"),
    ],
)
def test_what_is_no_toml_is_told_in_words_of_ours(
    tmp_path: Path, node: str, line: int, problem: str
) -> None:
    mistake = only(write(tmp_path, node=node))

    assert mistake.line == line
    assert mistake.problem.startswith(f"is not TOML: {problem}")


def test_a_file_that_is_not_utf8_is_found_with_its_line(tmp_path: Path) -> None:
    mistake = only(write(tmp_path, node=b"[receive]\n# Abteilung f\xfcr\n"))

    assert (mistake.line, mistake.problem) == (2, "is not UTF-8 text")


def test_windows_line_ends_and_byte_order_mark_are_no_mistake(tmp_path: Path) -> None:
    folder = write(tmp_path, node=b"\xef\xbb\xbf[receive]\r\nport = 104\r\n")

    assert load(folder).node.receive.port == 104


def test_windows_line_ends_do_not_move_the_line(tmp_path: Path) -> None:
    assert only(write(tmp_path, node=b"[receive]\r\n# port\r\n\r\nport = -1\r\n")).line == 4


def test_a_file_that_is_a_folder_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "peers" / "odd.toml").mkdir()

    mistake = only(folder)

    assert (mistake.file.name, mistake.problem) == ("odd.toml", "cannot be read: Is a directory")


def test_a_file_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "peers" / "x ray.toml").write_text('ae_title="X"\nhost="x"\nport=1\n')

    mistake = only(folder)

    assert mistake.file.name == "x ray.toml"
    assert mistake.problem.startswith("the file's name: a name has 1 to 64 letters")


def test_what_is_right_is_loaded_beside_what_is_wrong(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        peers_broken="port = ",
        peers_ris=PACS.replace("ORTHANC", "RIS"),
        pipelines_lost='destinations = ["nobody"]\n',
    )
    (folder / "peers" / "folder.toml").mkdir()

    settings = load_right(folder)

    assert (set(settings.peers), set(settings.pipelines)) == ({"pacs", "ris"}, {"chest"})


def test_nothing_is_loaded_without_a_node_file_that_is_right(tmp_path: Path) -> None:
    folder = write(tmp_path, node="[receive]\nprot = 1\n", peers_broken="port = ")
    with pytest.raises(ConfigError) as caught:
        load_right(folder)
    assert [mistake.file.name for mistake in caught.value.mistakes] == ["node.toml"]
    (folder / "node.toml").unlink()
    with pytest.raises(ConfigError, match="there is no node"):
        load_right(folder)


def test_sop_classes_are_kept_as_uids(tmp_path: Path) -> None:
    sop_class = '["CTImageStorage", "1.2.840.10008.5.1.4.1.1.1.1", "1.3.6.1.4.1.99999.1"]'
    folder = write(tmp_path, pipelines_chest=CHEST + f"[match]\nsop_class = {sop_class}\n")

    assert load(folder).pipelines["chest"].match.sop_class == (
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.1.1",
        "1.3.6.1.4.1.99999.1",
    )


@pytest.mark.parametrize("name", ["", "-x", "a b", "../pacs", "a" * 65])
def test_a_destination_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    mistake = only(write(tmp_path, pipelines_chest=f'destinations = ["{name}"]\n'))

    assert mistake.problem.startswith("a name has 1 to 64 letters")


def places(model: type[Section], way: str = "") -> list[str]:
    """The dotted keys of all values of a file."""
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found += places(inner, f"{way}{name}.")
        else:
            found.append(f"{way}{name}")
    return found


@pytest.mark.parametrize("value", ['"?"', "-1", "1.5", "true", "[]", '[""]', "{}", "{ x = 1 }"])
def test_no_mistake_is_told_in_the_words_of_a_library(tmp_path: Path, value: str) -> None:
    """Every key of every file with a value of the wrong kind."""
    files: dict[str, type[Section]] = {
        "node": NodeSettings,
        "peers_pacs": PeerSettings,
        "pipelines_chest": PipelineSettings,
    }
    texts = {
        name: "\n".join(f"{place} = {value}" for place in places(model))
        for name, model in files.items()
    }

    told = [mistake.problem for mistake in mistakes(write(tmp_path, **texts))]

    assert len(told) > 10
    assert [words for words in told if re.search(r"[Ii]nput|valid|parse|instance", words)] == []


def test_lists_beyond_any_depth_are_a_mistake_of_that_file(tmp_path: Path) -> None:
    folder = write(tmp_path, peers_deep="a = " + "[" * 20_000 + "]" * 20_000)

    mistake = only(folder)
    assert mistake.file == folder / "peers" / "deep.toml"
    assert mistake.problem == "nests lists or tables too deeply"
