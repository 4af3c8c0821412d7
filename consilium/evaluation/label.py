"""Labels: one word out of a few that are known, right or wrong, and right for each label alike."""

from collections.abc import Sequence

from consilium.errors import MissingExtra
from consilium.evaluation.texts import check_corpus, check_references


def label_match(statement: str, references: Sequence[str]) -> float:
    """Return 1 where the statement is an accepted label, case and outer white space aside; else 0.

    Its mean over a corpus is accuracy.

    Raises:
        BadRows: there is no reference.

    >>> label_match(" Boat ", ["boat"])
    1.0
    >>> label_match("a boat", ["boat"])
    0.0
    """
    check_references(references)
    return float(_label(statement) in map(_label, references))


def macro_f1(statements: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean over the labels of each label's F1, so that a rare label counts as much as a common one.

    The arithmetic mean of F1 scores (Opitz and Burst 2019, "Macro F1 and Macro F1", arXiv 1911.03347, there the first
    of the two), by scikit-learn, over the labels that occur in the references. A statement that is none of these
    counts against the label that was due and for no other. Case and outer white space are passed over. Where a row
    accepts several labels, the one that was said is due, or else the first.

    Args:
        statements: one for each row.
        references: the accepted labels of each row, at least one.

    Returns:
        A share from 0 to 1. With few rows of a label it moves in jumps.

    Raises:
        BadRows: there is no statement, the two differ in length, or a row has no reference.
        MissingExtra: scikit-learn is not installed.

    >>> macro_f1(["boat", "boat", "boat", "buoy"], [["boat"], ["boat"], ["boat"], ["buoy"]])
    1.0
    >>> macro_f1(["boat", "boat", "boat", "boat"], [["boat"], ["boat"], ["boat"], ["buoy"]])
    0.42857142857142855
    """
    check_corpus(statements, references)
    try:
        from sklearn.metrics import f1_score
    except ImportError as error:
        raise MissingExtra("macro-F1 needs scikit-learn: pip install 'consilium[eval]'") from error
    said = [_label(statement) for statement in statements]
    due = [_due(label, row) for label, row in zip(said, references, strict=True)]
    numbers = {label: number for number, label in enumerate(sorted(set(due)))}
    codes = [numbers[label] for label in due], [numbers.get(label, -1) for label in said]
    return float(f1_score(*codes, labels=list(numbers.values()), average="macro", zero_division=0.0))


def _due(said: str, references: Sequence[str]) -> str:
    accepted = [_label(reference) for reference in references]
    return said if said in accepted else accepted[0]


def _label(text: str) -> str:
    return text.strip().casefold()
