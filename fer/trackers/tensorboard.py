"""TensorBoard: event files in `tensorboard/` of the run directory."""

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

from fer.trackers.base import Begun, Ended, flat

FOLDER = "tensorboard"
# What Summary.Image calls a picture of three colours.
RGB = 3


class TensorBoardTracker:
    """Scalars, texts and pictures. The configuration is there as text and as hyper-parameters."""

    def __init__(self, run: Begun) -> None:
        self.run = run
        self.folder = run.directory / FOLDER
        self.writer = EventFileWriter(str(self.folder))
        if "begun" not in run.remembered:
            self.text("run_directory", run.id, 0)
            self.text("config", fenced((run.directory / "run.yaml").read_text(encoding="utf-8")), 0)
            self.hyper_parameters()
            self.writer.flush()
            run.remember(begun=True)

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.scalars(figures, epoch)
        self.writer.flush()

    def system(self, seconds: int, figures: Mapping[str, float]) -> None:
        self.scalars({f"system/{name}": value for name, value in figures.items()}, seconds)
        self.writer.flush()

    def end(self, ended: Ended) -> str:
        self.scalars(ended.figures, ended.epochs)
        for name, text in {**ended.texts, "status": ended.status}.items():
            self.text(name, text, ended.epochs)
        if ended.bundle:
            # Event files hold no other files: the bundle is named.
            self.text("bundle", str(ended.bundle), ended.epochs)
        for name, picture in ended.pictures.items():
            file = io.BytesIO()
            picture.save(file, "png")
            image = Summary.Image(
                width=picture.width, height=picture.height, colorspace=RGB, encoded_image_string=file.getvalue()
            )
            self.add(Summary.Value(tag=f"pictures/{name}", image=image), ended.epochs)
        if ended.status == "finished":
            # TensorBoard believes the first word about an end: a run that may be gone on with has none.
            outcome = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
            self.hyper_parameter_event(metadata.SESSION_END_INFO_TAG, session_end_info=outcome)
        self.writer.close()
        return f"tensorboard --logdir {self.folder}"

    def hyper_parameters(self) -> None:
        """The flattened configuration for TensorBoard's page HPARAMS."""
        began = plugin_data_pb2.SessionStartInfo(group_name=self.run.id, start_time_secs=time.time())
        for name, value in flat(self.run.config).items():
            match value:
                case bool():
                    began.hparams[name].bool_value = value
                case int() | float():
                    began.hparams[name].number_value = value
                case _:
                    began.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value)
        self.hyper_parameter_event(metadata.SESSION_START_INFO_TAG, session_start_info=began)

    def hyper_parameter_event(self, tag: str, **content: object) -> None:
        data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
        plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString())
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR)
        self.add(value, 0)

    def scalars(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self.add(Summary.Value(tag=name, simple_value=value), step)

    def text(self, name: str, text: str, step: int) -> None:
        """TensorBoard reads texts as Markdown."""
        plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=TEXT))
        one = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=one)
        self.add(Summary.Value(tag=name, metadata=plugin, tensor=tensor), step)

    def add(self, value: Summary.Value, step: int) -> None:
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))


def fenced(text: str) -> str:
    return f"```yaml\n{text}\n```"
