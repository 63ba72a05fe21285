"""Jobs whose log is shown while it is written."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from fer.cloud.calls import AwsCalls, CloudError
from fer.cloud.jobs import Job, Kind, log_group

FIRST = "algo-1"
log = logging.getLogger(__name__)


class LoggedJob(Job):
    """A job each line of whose containers is printed, while it is waited for."""

    def __init__(self, calls: AwsCalls, kind: Kind, name: str, poll_s: float, again: str) -> None:
        super().__init__(calls, kind, name, poll_s, again)
        # How far each stream was read.
        self.tokens: dict[str, str] = {}

    def follow(self) -> str:
        """Until the job has ended, and how, as ``wait``."""
        return self.ended(self.looks(lambda _: 0))

    def looks(self, look: Callable[[dict[str, Any]], int]) -> Iterator[int]:
        for more in super().looks(look):
            self.show_more()
            yield more

    def show_last_lines(self) -> None:
        """They were shown already."""

    def show_more(self) -> None:
        """Show what is new; a log that cannot be read now is read later."""
        group = {"logGroupName": log_group(self.kind)}
        try:
            found = self.calls.call("logs", "describe_log_streams", {**group, "logStreamNamePrefix": f"{self.name}/"})
            streams = [stream["logStreamName"] for stream in found.get("logStreams", [])]
            for stream in streams:
                # JOB/algo-1-1572383567
                host = stream.rpartition("/")[2].rpartition("-")[0]
                host = "" if host == FIRST else f"{host}: "
                for line in self.lines({**group, "logStreamName": stream, "startFromHead": True}):
                    print(host + line, flush=True)
        except CloudError as error:
            # There is none before the first container runs.
            if not error.code.startswith("ResourceNotFound"):
                log.warning("The job's log cannot be read: %s", error)

    def lines(self, where: dict[str, Any]) -> Iterator[str]:
        """The new lines of a stream."""
        stream = where["logStreamName"]
        while True:
            known = self.tokens.get(stream)
            page = self.calls.call("logs", "get_log_events", where if known is None else {**where, "nextToken": known})
            yield from (event["message"].rstrip() for event in page["events"])
            # The same token again says that this is all for now.
            if page["nextForwardToken"] == known:
                return
            self.tokens[stream] = page["nextForwardToken"]
