"""Names that people gave, as labels that a format allows: ASCII, short, and no two alike."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Words that SPSS, or R, allows for no variable.
_RESERVED = frozenset(
    [
        *("all", "and", "by", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "to", "with"),
        *("if", "else", "for", "while", "repeat", "function", "return", "next", "break", "in"),
        *("true", "false", "null", "na", "nan", "inf"),
    ]
)


def make_labels(
    names: Iterable[str],
    fallback: str,
    separator: str = "_",
    max_length: int = 64,
    used: Iterable[str] = (),
    letter_first: bool = True,
) -> dict[str, str]:
    """Give each name a label of its own, alike where the name is one already.

    A label has the letters and digits of ASCII, and ``separator`` for all else; it is no word that SPSS or R keeps for
    itself, and differs from all others in more than capitals: files of Windows and macOS, and
    variables of SPSS, are the same where only capitals differ. It depends on the names and their order alone.

    Args:
        names: The names; a repeated one has one label.
        fallback: A letter or more before what begins with a digit, and for what has no letter of ASCII.
        separator: What stands for everything else; "" leaves it out.
        max_length: Characters of the longest label.
        used: Labels that are taken already.
        letter_first: Whether no digit may begin a label.

    Returns:
        A label for each name.

    Examples:
        >>> make_labels(["Ad A", "ad_a", "../x", "18-29"], "s")
        {'Ad A': 'Ad_A_2', 'ad_a': 'ad_a', '../x': 'x', '18-29': 's_18_29'}
    """
    unique = list(dict.fromkeys(names))
    labels = make_label_list(unique, fallback, separator, max_length, used, letter_first)
    return dict(zip(unique, labels, strict=True))


def make_label_list(
    names: Sequence[str],
    fallback: str,
    separator: str = "_",
    max_length: int = 64,
    used: Iterable[str] = (),
    letter_first: bool = True,
) -> list[str]:
    """Give a label to each name of a list, repeated ones included. See ``make_labels``."""
    cleaned = [_clean(name, fallback, separator, max_length, letter_first) for name in names]
    labels = [""] * len(cleaned)
    taken = {label.lower() for label in used} | _RESERVED
    # Who is called P12 stays P12, though "P 1" before it is to differ from P1.
    for index in sorted(range(len(cleaned)), key=lambda index: cleaned[index] != names[index]):
        labels[index] = _make_unique(cleaned[index], separator, max_length, taken)
        taken.add(labels[index].lower())
    return labels


def _clean(name: str, fallback: str, separator: str, max_length: int, letter_first: bool) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # A name may be a hostile one of megabytes: no more than can count is looked at.
    label = re.sub("[^A-Za-z0-9]+", separator, plain[: 8 * max_length])
    label = label.strip(separator) if separator else label
    if not label:
        return fallback
    if letter_first and not label[0].isalpha():
        label = f"{fallback}{separator}{label}"
    label = label[:max_length]
    return label.rstrip(separator) if separator else label


def _make_unique(label: str, separator: str, max_length: int, taken: set[str]) -> str:
    unique, number = label, 2
    while unique.lower() in taken:
        suffix = f"{separator}{number}"
        unique, number = label[: max_length - len(suffix)] + suffix, number + 1
    return unique
