"""`python -m fer.config schema` prints the JSON Schema, `… docs` the table of all keys."""

import json
import sys

from fer.config import Config
from fer.config.keys import keys_of


def docs() -> str:
    """A Markdown table of every key."""
    rows = ["| key | allowed | meaning |", "| --- | --- | --- |"]
    for key in keys_of(Config):
        # Markdown would take <class> for a tag.
        cells = (f"`{key.name}`", key.allowed, key.description.replace("<", "&lt;"))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    if arguments == ["schema"]:
        print(json.dumps(Config.model_json_schema(), indent=2))
    elif arguments == ["docs"]:
        print(docs(), end="")
    else:
        print("usage: python -m fer.config schema | docs", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
