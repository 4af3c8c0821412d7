"""Character cards on the command line: in, out, and refused."""

import json
from pathlib import Path

import pytest

from consilium.members.card_files import read_card_file
from tests.cli.conftest import Run
from tests.support.cards import archive, card_json, card_table, picture, text_chunk, tree, write_card
from tests.support.council import real_base
from tests.support.personas import write_catalogue


def test_a_card_is_imported_and_listed(run: Run, tmp_path: Path) -> None:
    card = card_json(assets=[{"uri": "file:///etc/passwd"}], description="An old [/warm] hand.")
    write_card(tmp_path, "skipper.png", picture(text_chunk("ccv3", card)))
    done = run("members", "import", "skipper.png")
    assert (done.returncode, done.stderr) == (0, "note: assets: kept, and never opened or fetched.\n")
    persona = tmp_path / "personas" / "skipper" / "persona.toml"
    assert done.stdout == f"skipper joined characters, from a card of V3: {persona}\n"
    listed = run("members").stdout
    assert "skipper" in listed
    assert "[/warm]" in listed, "a card is no markup"
    assert json.loads(run("members", "show", "skipper").stdout)["adapter"] is None


def test_the_answer_as_json_is_one_object_on_the_last_line(run: Run, tmp_path: Path) -> None:
    write_card(tmp_path, "skipper.charx", archive(("card.json", card_json()), ("icon.png", "x")))
    done = run("members", "import", "skipper.charx", "--group", "water", "--name", "bosun", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "member": "bosun",
        "persona": str(tmp_path / "personas" / "bosun" / "persona.toml"),
        "card": "V3",
        "warnings": ["other files in the archive (1): not read and not kept."],
    }
    members = {member["name"]: member for member in json.loads(run("members", "--json").stdout)["members"]}
    assert members["bosun"]["group"] == "water"


def test_a_card_comes_out_as_it_went_in(run: Run, tmp_path: Path) -> None:
    table = card_table("v2", extensions={"other": {"x": 1.0}})
    write_card(tmp_path, "in.json", json.dumps(table))
    assert run("members", "import", "in.json").returncode == 0
    done = run("members", "export", "skipper", "out.json", "--spec", "v2")
    assert (done.returncode, done.stdout) == (0, "skipper written to out.json\n")
    value = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert value["data"]["extensions"].pop("consilium")["group"] == "characters"
    assert json.dumps(value) == json.dumps(table)


def test_a_member_is_exported_into_a_given_picture(run: Run, tmp_path: Path) -> None:
    comment = text_chunk("Comment", b"a portrait")
    write_card(tmp_path, "portrait.png", picture(comment))
    done = run("members", "export", "pilot", "pilot.png", "--image", "portrait.png")
    assert done.returncode == 0
    assert comment in (tmp_path / "pilot.png").read_bytes()
    assert json.loads(read_card_file(tmp_path / "pilot.png").text)["data"]["name"] == "pilot"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("import", "nowhere.png"), "nowhere.png does not exist"),
        (("import", "personas"), "none of .json, .png and .charx"),
        (("import", "clerk.json"), "a member 'clerk' is there already. Give another --name, or --replace it."),
        (("import", "escape.json"), "data.description: Value error, holds the control character '\\x1b'"),
        (("import", "slip.charx"), "'../../canary', which leads out of an archive"),
        (("import", "clerk.json", "--name", "../x"), "name='../x' is no name"),
        (("export", "clrek", "out.json"), "Did you mean 'clerk'?"),
        (("export", "clerk", "out.gif"), "none of .json, .png and .charx"),
        (("export", "clerk", "out.png", "--image", "clerk.json"), "clerk.json is no PNG"),
    ],
)
def test_what_cannot_be_used_is_one_plain_line_and_exit_code_two(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    write_card(tmp_path, "clerk.json", card_json(name="Clerk"))
    write_card(tmp_path, "escape.json", card_json(description="\x1b]0;owned\x07"))
    write_card(tmp_path, "slip.charx", archive(("card.json", card_json()), ("../../canary", "x")))
    before = tree(tmp_path)
    done = run("members", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_said(run: Run, tmp_path: Path) -> None:
    write_card(tmp_path, "skipper.json", card_json())
    done = run("members", "import", "skipper.json", "--personas", "/proc/self")
    assert done.returncode == 2
    assert "/proc/self/catalogue.toml does not exist" in done.stderr


@pytest.mark.slow
@pytest.mark.model
def test_an_imported_member_speaks_through_the_bare_base(run: Run, tmp_path: Path) -> None:
    real_base()  # provisioned, whichever test runs first
    write_catalogue(tmp_path / "personas", {"shore": ["clerk"]}, fallback="clerk")  # the others do not fit this base
    write_card(tmp_path, "skipper.json", card_json())
    assert run("members", "import", "skipper.json").returncode == 0
    done = run("ask", "Which berth is free?", "--member", "skipper", "--max-tokens", "4", "--json")
    assert done.returncode == 0, done.stderr
    (seat,) = json.loads(done.stdout.splitlines()[-1])["seats"]
    assert (seat["member"], seat["content_name"], seat["statement"]["error"]) == ("skipper", "skipper", None)
