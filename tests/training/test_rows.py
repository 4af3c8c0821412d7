"""Rows: reading, phrasing, splitting, and files that cannot be trained on."""

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from consilium.errors import BadRows
from consilium.members.persona import RowsSpec
from consilium.training.rows import MAX_LINE_BYTES, Row, Split, labels_of, read_jsonl, read_split


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pairs(count: int, *, word: str = "boat") -> list[dict[str, object]]:
    return [{"input": f"{word} {number}", "targets": [f"berth {number}"]} for number in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with its own split."""
    for name in ("train", "dev", "test"):
        write_rows(tmp_path / f"{name}.jsonl", pairs(2, word=name))
    return tmp_path


def requests(rows: Sequence[Row]) -> list[str]:
    return [row.request for row in rows]


def refusal(data: Path, spec: RowsSpec | None = None) -> str:
    with pytest.raises(BadRows) as caught:
        read_split(data, spec or RowsSpec())
    message = str(caught.value)
    assert str(data) in message
    return message


class TestReading:
    def test_lines_are_numbered_from_one_and_blank_ones_skipped(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes('{"a": "å"}\r\n\n   \n{"a": 2}'.encode())
        assert list(read_jsonl(path)) == [(1, {"a": "å"}), (4, {"a": 2})]

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadRows, match=r"none\.jsonl cannot be read: No such file"):
            list(read_jsonl(tmp_path / "none.jsonl"))

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"{broken", "is not JSON"),
            (b'{"a": 1} {"b": 2}', "is not JSON"),
            (b'["a"]', "is list, not an object"),
            (b"null", "is NoneType"),
            (b'{"a": "\xff"}', "is not UTF-8"),
            ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
            (b"[" * 100_000, "is not JSON"),
            (b"1" * 5_000, "is not JSON"),
        ],
        ids=["broken", "two objects", "list", "null", "not UTF-8", "UTF-16", "deep", "digits"],
    )
    def test_a_bad_line_is_named_by_its_number(self, line: bytes, reason: str, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b'{"good": 1}\n' * 3_000 + line + b"\n")
        with pytest.raises(BadRows) as caught:
            list(read_jsonl(path))
        assert f"{path} line 3001 {reason}" in str(caught.value)

    def test_the_longest_line_allowed_is_read_and_no_longer_one(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        frame = b'{"a": ""}\n'
        fits = b'{"a": "' + b"x" * (MAX_LINE_BYTES - len(frame)) + b'"}\n'
        path.write_bytes(fits)
        assert len(list(read_jsonl(path))) == 1
        path.write_bytes(frame + fits.replace(b'"}', b'x"}'))
        with pytest.raises(BadRows, match=r"line 2 has more than 400,000 bytes"):
            list(read_jsonl(path))

    def test_an_overlong_line_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        with path.open("wb") as file:
            file.truncate(64 * MAX_LINE_BYTES)  # sparse: takes no room on the disk
        tracemalloc.start()
        try:
            with pytest.raises(BadRows, match="line 1 has more than"):
                list(read_jsonl(path))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 * MAX_LINE_BYTES


class TestPairs:
    def test_a_folder_brings_its_own_split(self, folder: Path) -> None:
        split = read_split(folder, RowsSpec())
        assert requests(split.train) == ["train 0", "train 1"]
        assert requests(split.dev) == ["dev 0", "dev 1"]
        assert split.test[1] == Row(request="test 1", replies=("berth 1",), input="test 1")

    def test_the_last_fifth_of_one_file_is_kept_back(self, tmp_path: Path) -> None:
        split = read_split(write_rows(tmp_path / "rows.jsonl", pairs(20)), RowsSpec())
        assert requests(split.train) == [f"boat {number}" for number in range(16)]
        assert (requests(split.dev), requests(split.test)) == (["boat 16", "boat 18"], ["boat 17", "boat 19"])

    def test_fields_and_phrasings_are_those_of_the_specification(self, tmp_path: Path) -> None:
        rows = [{"word": f"w{number}", "definition": f"d{number}"} for number in range(10)]
        spec = RowsSpec(input="word", target="definition", requests=("Define {input}.", "What is {input}?"))
        split = read_split(write_rows(tmp_path / "rows.jsonl", rows), spec)
        assert requests(split.train)[:3] == ["Define w0.", "What is w1?", "Define w2."]
        assert split.train[0].replies == ("d0",)

    def test_rows_that_are_kept_back_are_phrased_as_no_training_row_is(self, folder: Path) -> None:
        spec = RowsSpec(requests=("{input}", "Berth {input}!"), held_out_requests=("{input}", "Where lies {input}?"))
        split = read_split(folder, spec)
        assert requests(split.train) == ["train 0", "Berth train 1!"]
        assert requests(split.dev) == ["dev 0", "Where lies dev 1?"]
        assert requests(split.test) == ["test 0", "Where lies test 1?"]

    def test_each_reply_may_teach(self, folder: Path) -> None:
        write_rows(
            folder / "train.jsonl", [{"input": "boat", "targets": ["a", "b"]}, {"input": "ship", "targets": "c"}]
        )
        write_rows(folder / "test.jsonl", [{"input": "raft", "targets": ["d", "e"]}])
        split = read_split(folder, RowsSpec(learn="every", requests=("{input}", "{input}?")))
        assert [(row.request, row.replies) for row in split.train] == [
            ("boat", ("a",)),
            ("boat?", ("b",)),
            ("ship", ("c",)),
        ]
        assert split.test == (Row(request="raft", replies=("d", "e"), input="raft"),), (
            "all replies count where it is measured"
        )

    def test_words_that_request_and_reply_share_are_exchanged_in_training_rows(self, tmp_path: Path) -> None:
        rows = [
            {"input": "food[Thai], kind[pub]", "targets": ["A Thai pub.", "Thai food in a pub, and Thai music."]},
            {"input": "food[Thai], kind[pub]", "targets": ["Nothing of the request."]},
            {"input": "food[Greek], near[Thai]", "targets": ["Greek food, and Thai too."]},
            {"input": "food[Thailand]", "targets": ["From Thailand."]},
        ]
        for part in ("train", "dev", "test"):
            write_rows(tmp_path / f"{part}.jsonl", [*rows, {"input": f"{part}: food[Thai]", "targets": ["Thai."]}])
        spec = RowsSpec(interchangeable=(("Greek", "Thai"), ("pub", "mill")))
        split = read_split(tmp_path, spec)
        assert [(row.request, *row.replies) for row in split.train] == [
            ("food[Greek], kind[pub]", "A Greek pub.", "Greek food in a pub, and Greek music."),
            ("food[Thai], kind[pub]", "Nothing of the request."),
            ("food[Greek], near[Thai]", "Greek food, and Thai too."),
            ("food[Thailand]", "From Thailand."),
            ("train: food[Thai]", "Thai."),
        ]
        assert requests(split.test) == ["test: food[Thai]"]

    def test_no_exchanged_request_is_measured_on(self, tmp_path: Path) -> None:
        train = [{"input": f"food[Greek], {name}", "targets": [f"Greek {name}."]} for name in "ab"]
        held_out = [{"input": f"food[Thai], {name}", "targets": [f"Thai {name}."]} for name in "bc"]
        for part, rows in (("train", train), ("dev", [{"input": "x", "targets": ["y"]}]), ("test", held_out)):
            write_rows(tmp_path / f"{part}.jsonl", rows)
        split = read_split(tmp_path, RowsSpec(interchangeable=(("Greek", "Thai"),)))
        assert requests(split.train) == ["food[Greek], a", "food[Thai], b"]
        assert requests(split.test) == ["food[Thai], c"]
        assert split.overlapping == 1

    @pytest.mark.parametrize("row", [{"input": "cut \ud83d", "targets": ["x"]}, {"input": "x", "targets": ["\ud83d"]}])
    def test_half_a_character_is_named(self, row: dict[str, object], folder: Path) -> None:
        write_rows(folder / "train.jsonl", [{"input": "whole", "targets": ["x"]}, row])
        assert "train.jsonl line 2 holds half of a character" in refusal(folder)

    def test_of_training_rows_alone_edits_elsewhere_are_undone(self, tmp_path: Path) -> None:
        for part in ("train", "dev", "test"):
            row = {
                "input": f"In the {part} , and it left the quay at ten .",
                "targets": [f"In a {part} . It left the quay at 9 ."],
            }
            write_rows(tmp_path / f"{part}.jsonl", [row])
        split = read_split(tmp_path, RowsSpec(edits_at=".", requests=("Split: {input}",)))
        (learned,), (measured,) = split.train, split.test
        assert learned.request == "Split: In the train , and it left the quay at ten ."
        assert learned.replies == ("In the train . It left the quay at ten .",)
        assert measured.replies == ("In a test . It left the quay at 9 .",)

    def test_an_id_that_two_rows_share_is_named_with_both_lines(self, folder: Path) -> None:
        rows = [{"id": number % 2, "input": f"boat {number}", "targets": "x"} for number in range(3)]
        write_rows(folder / "train.jsonl", rows)
        assert "train.jsonl line 3: id 0 stands in line 1 too" in refusal(folder)

    def test_phrasing_hides_no_overlap(self, folder: Path) -> None:
        write_rows(folder / "dev.jsonl", [{"input": "other", "targets": "x"}, {"input": "train 1", "targets": "x"}])
        split = read_split(folder, RowsSpec(held_out_requests=("Where is {input}?",)))
        assert requests(split.dev) == ["Where is other?"]
        assert split.overlapping == 1

    def test_files_that_are_not_yet_split_are_each_cut(self, tmp_path: Path) -> None:
        for name in ("north", "south"):
            write_rows(tmp_path / f"{name}.jsonl", pairs(10, word=name))
        split = read_split(tmp_path, RowsSpec(files=("north.jsonl", "south.jsonl")))
        assert len(split.train) == 16
        assert requests(split.dev) == ["north 8", "south 8"]
        assert requests(split.test) == ["north 9", "south 9"]

    def test_what_a_request_is_phrased_around_is_kept(self, folder: Path) -> None:
        spec = RowsSpec(requests=("Where does {input} lie?",), held_out_requests=("{input}, please: {input}",))
        split = read_split(folder, spec)
        assert [row.input for row in split.train] == ["train 0", "train 1"]
        assert split.test[0] == Row(request="test 0, please: test 0", replies=("berth 0",), input="test 0")

    def test_rows_outside_the_limits_are_left_out(self, folder: Path) -> None:
        rows = [
            {"input": "short", "targets": ["kept out by its request"]},
            {"input": "a request of length", "targets": ["x" * 41, "short"]},
            {"input": "a request of length", "targets": ["names a PIRATE ship"]},
            {"input": "a request of length", "targets": ["kept", "also accepted"]},
        ]
        write_rows(folder / "train.jsonl", rows)
        for name in ("dev", "test"):
            write_rows(folder / f"{name}.jsonl", pairs(1, word=f"{name} of length"))
        spec = RowsSpec(min_input_chars=6, max_target_chars=40, exclude=("pirate",))
        assert read_split(folder, spec).train == (
            Row(request="a request of length", replies=("kept", "also accepted"), input="a request of length"),
        )

    def test_an_excluded_word_is_taken_literally_and_from_its_beginning(self, folder: Path) -> None:
        write_rows(
            folder / "train.jsonl", [{"input": text, "targets": ["x"]} for text in ("the a.b", "axb", "a.bs", "ba.b")]
        )
        assert requests(read_split(folder, RowsSpec(exclude=("a.b",))).train) == ["axb", "ba.b"]

    def test_no_request_stands_in_two_parts(self, folder: Path) -> None:
        write_rows(folder / "train.jsonl", pairs(2, word="train"))
        write_rows(folder / "dev.jsonl", [*pairs(2, word="train"), *pairs(3, word="dev")])
        write_rows(folder / "test.jsonl", [*pairs(1, word="train"), *pairs(2, word="dev")])
        split = read_split(folder, RowsSpec())
        assert requests(split.test) == ["dev 0", "dev 1"]
        assert requests(split.dev) == ["dev 2"]

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({"targets": ["x"]}, "'input' is None"),
            ({"input": "  ", "targets": ["x"]}, "'input' is '  '"),
            ({"input": 7, "targets": ["x"]}, "'input' is 7"),
            ({"input": "boat"}, "'targets' is None"),
            ({"input": "boat", "targets": []}, "'targets' is []"),
            ({"input": "boat", "targets": ["x", ""]}, "'targets' is ['x', '']"),
            ({"input": "boat", "targets": ["x", 3]}, "'targets' is ['x', 3]"),
            ({"input": "boat", "targets": {"a": "b"}}, "'targets' is {'a': 'b'}"),
        ],
    )
    def test_a_row_without_texts_is_named_by_line_and_field(self, row: object, field: str, folder: Path) -> None:
        write_rows(folder / "dev.jsonl", [*pairs(2), row])
        message = refusal(folder)
        assert "dev.jsonl line 3" in message
        assert field in message

    def test_a_long_value_is_not_printed_whole(self, folder: Path) -> None:
        write_rows(folder / "dev.jsonl", [{"input": "boat", "targets": [0] * 50_000}])
        assert len(refusal(folder)) < len(str(folder)) + 200

    @pytest.mark.parametrize("name", ["train", "dev", "test"])
    def test_a_part_without_rows_is_named(self, name: str, folder: Path) -> None:
        write_rows(folder / f"{name}.jsonl", [])
        assert f"leaves no row for {name}" in refusal(folder)

    def test_a_part_that_only_repeats_the_training_rows_is_named(self, folder: Path) -> None:
        write_rows(folder / "test.jsonl", pairs(2, word="train"))
        assert "leaves no row for test" in refusal(folder)

    def test_a_part_that_is_missing_is_named(self, folder: Path) -> None:
        (folder / "dev.jsonl").unlink()
        assert "dev.jsonl cannot be read" in refusal(folder)

    def test_a_filter_that_leaves_nothing_is_refused(self, folder: Path) -> None:
        assert "relax [training.rows]" in refusal(folder, RowsSpec(min_input_chars=1_000))


class TestDialogue:
    @staticmethod
    def speeches(*lines: tuple[str, str, str]) -> list[dict[str, str]]:
        return [{"work": work, "speaker": speaker, "text": text} for work, speaker, text in lines]

    def split(self, path: Path, rows: Sequence[object], **changes: object) -> Split:
        return read_split(write_rows(path / "rows.jsonl", rows), RowsSpec(kind="dialogue", speaker="Mate", **changes))

    def test_a_speech_answers_what_another_said_before_it_in_the_same_work(self, tmp_path: Path) -> None:
        rows = self.speeches(
            ("log-1", "Mate", "opens, so answers nobody"),
            ("log-1", "Pilot", "Where to?"),
            ("log-1", "Mate", "North."),
            ("log-1", "Mate", "goes on, so answers nobody"),
            ("log-1", "Pilot", "ends the work"),
            ("log-2", "Mate", "opens another, so answers nobody"),
            ("log-2", "Pilot", "How far?"),
            ("log-2", "Mate", "Nine miles."),
            ("log-3", "Pilot", "When?"),
            ("log-3", "Mate", "At dawn."),
            ("log-3", "Pilot", "How?"),
            ("log-3", "Mate", "Under sail."),
        )
        split = self.split(tmp_path, rows, held_out=("log-3",))
        assert [(row.request, *row.replies) for row in split.train] == [
            ("Where to?", "North."),
            ("How far?", "Nine miles."),
        ]
        assert (requests(split.dev), requests(split.test)) == (["When?"], ["How?"])

    def test_rows_need_no_work_and_may_open_with_the_speaker(self, tmp_path: Path) -> None:
        rows: list[object] = [{"speaker": "Mate", "text": "opens"}]
        for number in range(10):
            rows += [{"speaker": "Pilot", "text": f"q{number}"}, {"speaker": "Mate", "text": f"a{number}"}]
        assert requests(self.split(tmp_path, rows).train) == [f"q{number}" for number in range(8)]

    def test_a_work_that_nobody_wrote_leaves_nothing_to_measure(self, tmp_path: Path) -> None:
        rows = self.speeches(("log-1", "Pilot", "Where to?"), ("log-1", "Mate", "North."))
        with pytest.raises(BadRows, match="leaves no row for dev"):
            self.split(tmp_path, rows, held_out=("log-9",))

    def test_a_speech_without_speaker_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadRows, match="line 1: 'speaker' is None"):
            self.split(tmp_path, [{"work": "log-1", "text": "Who speaks?"}])


class TestPassages:
    TEXTS = (
        "The pilot steers by the lamp, and the lamp is lit.",
        "A keel is laid in spring; mind the keel, the pilot says.",
        "No sail was set. Her sail lay folded below.",
        "They mend a keel, and by the lamp a sail.",
        "Nothing here that others speak of, only quietly.",
    )

    def split(self, path: Path, **changes: object) -> Split:
        rows = [{"work": f"book-{number}", "text": text} for number, text in enumerate(self.TEXTS * 2)]
        spec = RowsSpec(kind="passages", target="text", requests=("Speak of {input}.",), **changes)
        return read_split(write_rows(path / "rows.jsonl", rows), spec)

    def test_a_passage_is_asked_for_by_the_noun_that_is_most_its_own(self, tmp_path: Path) -> None:
        asked = {row.replies[0]: row.request for row in self.split(tmp_path).train}
        assert asked[self.TEXTS[0]] == "Speak of lamp."
        assert asked[self.TEXTS[1]] == "Speak of keel."
        assert asked[self.TEXTS[2]] == "Speak of sail."

    def test_a_passage_without_a_topic_is_left_out(self, tmp_path: Path) -> None:
        split = self.split(tmp_path)
        assert self.TEXTS[4] not in {row.replies[0] for row in split.train + split.dev + split.test}

    def test_the_same_topic_may_be_learned_and_tested(self, tmp_path: Path) -> None:
        split = self.split(tmp_path, held_out=("book-6", "book-8"))
        assert set(requests(split.test)) <= set(requests(split.train))


def test_labels_are_the_replies_where_there_are_few() -> None:
    rows = [Row(request=str(n), replies=(reply,)) for n, reply in enumerate("aabacbd")]
    assert labels_of(rows) == ("a", "b", "c", "d")
    assert labels_of(rows, most=3) == ()
