"""Command lines of programs with a section of their own: its keys stand without the section's name, and words alone."""

from argparse import Namespace
from collections.abc import Callable

from hydra._internal.utils import get_args_parser


def parse_options(arguments: list[str]) -> Namespace:
    """Parse the options of Hydra; what is none of them stands in ``overrides``."""
    return get_args_parser().parse_args(arguments)


def expand_words(arguments: list[str], first_override: str, expand: Callable[[str], str]) -> list[str]:
    """Return a command line as Hydra takes it.

    Args:
        arguments: Options of Hydra, overrides, and words that ``expand`` makes overrides of.
        first_override: What is set in any case, such as ``hydra.job.name=export``: Hydra would take the file's name.
        expand: Gives an override for a word; an override stays as it is.
    """
    overrides = parse_options(arguments).overrides
    # A word may be an option's value as well: --config-dir RUN. Hydra takes overrides that stand together alone.
    marked = [str(place) if word in overrides else word for place, word in enumerate(arguments)]
    places = [int(text) for text in parse_options(marked).overrides]
    first = places[0] if places else len(arguments)
    return [
        *arguments[:first],
        first_override,
        *(expand(arguments[place]) for place in places),
        *arguments[first + len(places) :],
    ]
