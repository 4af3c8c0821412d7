"""Shell commands as text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.evaluation.command import first_utility, first_utility_match, flag_f1, flags


class TestFirstUtility:
    @pytest.mark.parametrize(
        ("command", "utility"),
        [
            ("find . -type f", "find"),
            ("  ls|wc -l", "ls"),
            ("sudo apt-get update", "apt-get"),
            ("sudo -u www-data -E tail -f log", "tail"),
            ("env -i -u HOME LANG=C sort names", "sort"),
            ("A=1 B='two words' C+=3 make all", "make"),
            ("TODAY=$(date +%F) touch x", "date"),
            ('SPARE="$(mktemp -d)"', "mktemp"),
            ("SPARE=`mktemp -d`", "mktemp"),
            ("/usr/bin/env python3 -V", "python3"),
            ("/bin/ls", "ls"),
            ("\\ls -l", "ls"),
            ("(cd /srv; ls)", "cd"),
            ("! { grep -q x y; }", "grep"),
            ("$(which tar) -xf a.tar", "which"),
            ("find . -name 'never closed", "find"),
            ("sudo", ""),
            ("A=1", ""),
            ("", ""),
            ("'", ""),
        ],
    )
    def test_prefixes_are_passed_over(self, command: str, utility: str) -> None:
        assert first_utility(command) == utility

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        command = f"$(touch {canary}) ; `touch {canary}` ; touch {canary}"
        assert first_utility(command) == "touch"
        assert first_utility_match(command, [command]) == 1.0
        assert not canary.exists()

    def test_a_statement_without_a_utility_matches_nothing(self) -> None:
        assert first_utility_match("A=1", ["B=2"]) == 0.0

    def test_any_reference_will_do(self) -> None:
        assert first_utility_match("sudo ls -a", ["find .", "ls"]) == 1.0
        assert first_utility_match("lsof", ["find .", "ls"]) == 0.0

    @pytest.mark.parametrize("nested", ["A=`" * 5_000, 'A="$(' * 5_000, "(" * 20_000, "sudo " * 5_000])
    def test_deep_nesting_is_no_trap(self, nested: str) -> None:
        assert first_utility(nested) == ""
        assert flags(nested) == []


class TestFlags:
    @pytest.mark.parametrize(
        ("command", "found"),
        [
            ("ls", []),
            ("ls -la quay", ["-l", "-a"]),
            ("ls -l -a --color=auto", ["-l", "-a", "--color"]),
            ("tar --files-from - -C /srv", ["--files-from", "-C"]),
            ("cut -d' ' -f4- | split -l100", ["-d", "-f", "-l"]),
            ("head -10 log", []),
            ("grep -- x", []),
            ("grep 'a -b'", []),
            ("find . -name '*.c' -mtime -1 -o -size +3", ["-name", "-mtime", "-o", "-size"]),
            ("sudo /usr/bin/find . -maxdepth 1", ["-maxdepth"]),
            ("find . -exec ls -la {} \\; -print", ["-exec", "-l", "-a", "-print"]),
            ("find . -exec grep -lw x {} + -newer y", ["-exec", "-l", "-w", "-newer"]),
            ("find . -name a | xargs rm -rf", ["-name", "-r", "-f"]),
            ("find . -name a; ls -la", ["-name", "-l", "-a"]),
            ("find . -exec ls {} | sort -rn", ["-exec", "-r", "-n"]),
            ("du -sh $(find . -type d)", ["-s", "-h", "-type"]),
            ("ls -l 'never closed -a", ["-l"]),
            ("", []),
        ],
    )
    def test_known_values(self, command: str, found: list[str]) -> None:
        assert flags(command) == found

    @given(letters=st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=6))
    def test_flags_apart_or_together_are_the_same(self, letters: list[str]) -> None:
        apart = [f"-{letter}" for letter in letters]
        assert flags(f"ls -{''.join(letters)} quay") == flags(f"ls {' '.join(apart)} quay") == apart
        assert flags(f"find . -{''.join(letters)}") == [f"-{''.join(letters)}"]


class TestFlagF1:
    @pytest.mark.parametrize(
        ("statement", "f1"),
        [
            ("ls -la", 1),
            ("sort -a -l", 1),
            ("ls -l", 2 / 3),
            ("ls -lah", 4 / 5),
            ("ls -laa", 4 / 5),
            ("ls -h", 0),
            ("ls", 0),
            ("", 0),
        ],
    )
    def test_known_values(self, statement: str, f1: float) -> None:
        assert flag_f1(statement, ["ls -la"]) == pytest.approx(f1)

    def test_commands_without_flags_agree_on_them(self) -> None:
        assert flag_f1("ls quay", ["ls"]) == 1.0
        assert flag_f1(" ", ["ls"]) == 0.0

    def test_the_best_reference_counts(self) -> None:
        assert flag_f1("ls -l", ["find . -name x", "ls -l"]) == 1.0

    @given(statement=st.text(max_size=40), reference=st.text(max_size=40))
    def test_it_is_a_share_for_whatever_a_seat_says(self, statement: str, reference: str) -> None:
        assert 0 <= flag_f1(statement, [reference]) <= 1
        assert flag_f1(f"ls {statement}", [f"ls {statement}"]) == 1.0
