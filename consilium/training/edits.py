"""Edits: replies that change their request, without the changes that are not to be learned."""

from difflib import SequenceMatcher

AFTER = 3
"""So many words further on an edit may be part of the one before: ". The money" ends with the "was" after it."""


def with_edits_at(mark: str, request: str, reply: str) -> str:
    """Return the request with those of the reply's edits alone that put in ``mark`` as a word, not at the very end.

    Pairs that were found in the history of a text hold edits that nobody can foresee: a name is put right, a year is
    added (of WikiSplit's pairs: Tsukagoshi et al. 2024, arXiv 2404.09002). Who learns them learns to make things up.

    Args:
        mark: the word that an edit has to put in; texts are taken apart at blanks.
        request: what was edited.
        reply: what came of it.

    >>> with_edits_at(".", "He sold the mill , and left the town at ten .", "He sold a mill . He left the town at 9 .")
    'He sold the mill . He left the town at ten .'
    """
    before, after = request.split(), reply.split()
    words: list[str] = []
    kept_until = -AFTER - 1
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        new = after[new_start:new_end]
        wanted = kind != "equal" and ((mark in new and new_end < len(after)) or new_start - kept_until <= AFTER)
        words += new if wanted else before[start:end]
        if wanted:
            kept_until = new_end
    return " ".join(words)
