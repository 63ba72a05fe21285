"""Lines that a job's containers write, as events of CloudWatch Logs."""

import time

from moto.logs.models import LogsBackend


def put_line(logs: LogsBackend, group: str, stream: str, line: str) -> None:
    """Add a line to a stream, which is made where it is not there yet."""
    if group not in logs.groups:
        logs.create_log_group(group, {})
    logs.ensure_log_stream(group, stream)
    # CloudWatch takes no empty message.
    logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line or " "}])
