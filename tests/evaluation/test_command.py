"""Shell commands as text."""

from pathlib import Path

import pytest

from consilium.evaluation.command import first_utility, first_utility_match


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
