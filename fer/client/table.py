"""From answers to a table in CSV, a row a face, as they come."""

import csv
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from fer.client.client import Answer, Client
from fer.client.faces import Item
from fer.core.csv import neutralise
from fer.emotions import AFFECT
from fer.errors import UserError

# As in the emotion table of infer.py.
PLACE = ("video", "frame", "time_s", "status", "reason", "face_x", "face_y", "face_w", "face_h", "det_score")
Row = dict[str, Any]


def iter_rows(client: Client, items: Iterable[Item]) -> Generator[tuple[Item, Row], None, None]:
    """Yield each item with its row, in order: those that have a picture once it is answered.

    Args:
        client: The server.
        items: What is to be answered; they are taken a few requests ahead.

    Raises:
        UserError: As for ``Client.classify``.
    """
    waiting: deque[Item] = deque()

    def take_pictures() -> Iterator[Path | bytes]:
        for item in items:
            waiting.append(item)
            if item.picture is not None:
                yield item.picture

    answers = client.classify(take_pictures())
    try:
        for answer in answers:
            yield from _take_without_picture(waiting)
            item = waiting.popleft()
            yield item, build_row(item, answer)
        yield from _take_without_picture(waiting)
    finally:
        answers.close()


def _take_without_picture(waiting: deque[Item]) -> Iterator[tuple[Item, Row]]:
    while waiting and waiting[0].picture is None:
        item = waiting.popleft()
        yield item, item.row


def answer_sequence(client: Client, items: Sequence[Item], step_s: float) -> Iterator[tuple[Item, Row]]:
    """Yield the items of one video, a face a frame, with their rows, classified by a model of clips.

    Raises:
        UserError: As for ``Client.classify_sequence``.
    """
    answers = client.classify_sequence([item.picture for item in items], step_s)
    for item, answer in zip(items, answers, strict=True):
        yield item, item.row if item.picture is None else build_row(item, answer)


def build_row(item: Item, answer: Answer) -> Row:
    """Return the row of an item that was answered."""
    if answer.error is not None:
        return {**item.row, "status": "decode_error", "reason": answer.error}
    probabilities = {f"p_{name}": value for name, value in answer.probabilities.items()}
    uncertain = {} if answer.uncertain is None else {"uncertain": answer.uncertain}
    found = {"status": "ok", **probabilities, "emotion": answer.emotion, "confidence": answer.confidence}
    return {**item.row, **found, **uncertain, **answer.affect}


class TableWriter:
    """Writes rows as CSV; the first that has an answer says which emotions there are.

    Args:
        file: Where they go.
    """

    def __init__(self, file: IO[str]) -> None:
        self.rows = csv.writer(file, lineterminator="\n")
        self.columns: tuple[str, ...] = ()
        self.waiting: list[Row] = []

    def write(self, row: Row) -> None:
        """Write a row, or keep it until the emotions are known.

        Raises:
            UserError: Its emotions are not those of the rows before.
        """
        if not self.columns:
            self.waiting.append(row)
            if row.get("status") == "ok":
                self._begin(row)
            return
        if row.get("status") == "ok" and set(row) - set(PLACE) != set(self.columns) - set(PLACE):
            raise UserError(
                "the server answers with other columns than before: it has got another model meanwhile; classify again"
            )
        self.rows.writerow([neutralise(row.get(name, "")) for name in self.columns])

    def finish(self) -> None:
        """Write what waits, where nothing was answered."""
        if not self.columns:
            self._begin({})

    def _begin(self, row: Row) -> None:
        probabilities = [name for name in row if name.startswith("p_")]
        others = [name for name in ("emotion", "confidence", "uncertain", *AFFECT) if name in row]
        self.columns = (*PLACE, *probabilities, *others)
        self.rows.writerow(self.columns)
        waiting, self.waiting = self.waiting, []
        for item in waiting:
            self.write(item)
