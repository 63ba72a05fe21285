"""TensorBoard: event files in `tensorboard/` of the run directory.

Written as TensorBoard's own messages. `tensorboardX.SummaryWriter` would be shorter, but it imports PyTorch where that
is installed, leaves events in its queue at a flush, renames texts, and counts every run that has hyper-parameters as
successful before it has ended.
"""

import io
import json
import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text.metadata import PLUGIN_NAME as TEXT
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from typing_extensions import override

from fer.core.flatten import flatten_dict
from fer.core.run_layout import RUN_YAML
from fer.trackers.base import RunInfo, RunResult, Tracker

FOLDER = "tensorboard"
# Summary.Image's word for an image of three colours.
RGB = 3


class TensorBoardTracker(Tracker):
    """Logs scalars, texts and images; the configuration as text and as hyper-parameters."""

    def __init__(self, run: RunInfo) -> None:
        self.run = run
        self.folder = run.directory / FOLDER
        self.writer = EventFileWriter(str(self.folder))
        if "begun" not in run.saved_state:
            self._add_text("run_directory", run.id, 0)
            self._add_text("config", _format_code_block((run.directory / RUN_YAML).read_text(encoding="utf-8")), 0)
            self._log_hparams()
            self.writer.flush()
            run.save_state(begun=True)

    @override
    def log_epoch(self, row_number: int, metrics: Mapping[str, float]) -> None:
        self._add_scalars(metrics, row_number)
        self.writer.flush()

    @override
    def log_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        self._add_scalars({f"system/{name}": value for name, value in metrics.items()}, seconds)
        self.writer.flush()

    @override
    def finish(self, result: RunResult) -> str:
        self._add_scalars(result.metrics, result.epochs)
        for name, text in {**result.texts, "status": result.status}.items():
            self._add_text(name, text, result.epochs)
        if result.bundle:
            # Event files hold no other files: the bundle is named.
            self._add_text("bundle", str(result.bundle), result.epochs)
        for name, image in result.images.items():
            file = io.BytesIO()
            image.save(file, "png")
            summary_image = Summary.Image(
                width=image.width, height=image.height, colorspace=RGB, encoded_image_string=file.getvalue()
            )
            self._add_summary(Summary.Value(tag=f"pictures/{name}", image=summary_image), result.epochs)
        if result.status == "finished":
            # TensorBoard believes the first end it reads: a run that may be resumed has none.
            outcome = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
            self._add_hparams_event(metadata.SESSION_END_INFO_TAG, session_end_info=outcome)
        self.writer.close()
        return f"tensorboard --logdir {self.folder}"

    def _log_hparams(self) -> None:
        """Add the flattened configuration for TensorBoard's page HPARAMS."""
        session_start = plugin_data_pb2.SessionStartInfo(group_name=self.run.id, start_time_secs=time.time())
        for name, value in flatten_dict(self.run.config).items():
            match value:
                case bool():
                    session_start.hparams[name].bool_value = value
                case int() | float():
                    session_start.hparams[name].number_value = value
                case _:
                    session_start.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
        self._add_hparams_event(metadata.SESSION_START_INFO_TAG, session_start_info=session_start)

    def _add_hparams_event(self, tag: str, **content: object) -> None:
        data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
        plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR)
        self._add_summary(value, 0)

    def _add_scalars(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._add_summary(Summary.Value(tag=name, simple_value=value), step)

    def _add_text(self, name: str, text: str, step: int) -> None:
        """Add a text, which TensorBoard reads as Markdown."""
        plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=TEXT))
        one = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=one)
        self._add_summary(Summary.Value(tag=name, metadata=plugin, tensor=tensor), step)

    def _add_summary(self, value: Summary.Value, step: int) -> None:
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))


def _format_code_block(text: str) -> str:
    return f"```yaml\n{text}\n```"
