"""What `python -m fer.cloud.extract` refuses, and what an instance is told and does."""

import json
from pathlib import Path

import pytest

from fer.cloud.extraction import COMMAND, validate_and_connect, validate_object_keys
from fer.cloud.extraction_container import extract_shard, write_task
from fer.config.compose import load_overrides
from fer.errors import ConfigError, DataError, UserError
from fer.infer.inputs import list_inputs
from fer.video.media import Media

SAGEMAKER = ("aws=sagemaker", "aws.bucket=faces", "aws.region=us-east-1")
ROLE, IMAGE = "aws.role=arn:aws:iam::123456789012:role/fer", "aws.processing.image=image:1"
ALL = (*SAGEMAKER, ROLE, IMAGE)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["aws.kind=local", "aws=sagemaker"]),
        ([*SAGEMAKER, IMAGE], ["aws.role", "add aws.role=ARN"]),
        ([*SAGEMAKER, ROLE], ["aws.processing.image", "--target jobs"]),
        (ALL, ["extraction.input=null", "s3://BUCKET/PREFIX"]),
        ([*ALL, "extraction.input=clips"], ["extraction.input=clips", "one bucket"]),
        ([*ALL, "extraction.input=[s3://a/x,clips]"], ["s3://a/x, clips", "one bucket"]),
        ([*ALL, "extraction.input=[s3://a/x,s3://b/x]"], ["s3://a/x, s3://b/x", "one bucket"]),
        (
            [*ALL, "extraction.input=s3://a/x", "extraction.share=1", "extraction.shares=2"],
            ["extraction.share=1", "aws.processing.instance_count"],
        ),
    ],
)
def test_mistakes_are_answered_before_anything_is_asked(overrides: list[str], words: list[str]) -> None:
    config = load_overrides(overrides, "infer")
    with pytest.raises(ConfigError) as caught:
        validate_and_connect(config, list_inputs(config))
    assert all(word in str(caught.value) for word in words), caught.value


STUDY = """\
stimuli: {spot: {duration_s: 10}}
respondents: {ann: {consent: true}, bob: {consent: true}, carl: {consent: false}}
recordings:
  - {file: FIRST, respondent: ann, stimulus: spot}
  - {file: s3://panel/bob.mp4, respondent: bob, stimulus: spot}
  - {file: s3://elsewhere/carl.mp4, respondent: carl, stimulus: spot}
"""


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("ann.mp4", r"and /.*/ann\.mp4 is on this machine; name s3://BUCKET/KEY as the file of each recording$"),
        ("s3://others/ann.mp4", r"and they are in others, panel; name s3://BUCKET/KEY as the file of each recording$"),
    ],
)
def test_recordings_of_a_study_that_are_not_in_one_bucket_are_told(first: str, said: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace("FIRST", first))
    config = load_overrides([*ALL, f"extraction.study={study}"], "infer")
    with pytest.raises(ConfigError, match=said) as caught:
        validate_and_connect(config, list_inputs(config))
    assert str(caught.value).startswith(f"extraction.study={study}: SageMaker extracts from videos in one bucket of S3")


@pytest.mark.parametrize("key", ["v//a.mp4", "v/./a.mp4", "../a.mp4"])
def test_key_that_is_no_path_is_refused(key: str) -> None:
    media = Media(Path("a.mp4"), "a.mp4", "video", f"s3://videos/{key}")
    with pytest.raises(DataError, match=r"cannot lay down this key as a file; rename the object, or use infer\.py$"):
        validate_object_keys([media])


def test_instances_get_the_weights_and_nothing_of_this_machine(tmp_path: Path) -> None:
    weights, groups = tmp_path / "yunet.onnx", tmp_path / "groups.csv"
    weights.write_bytes(b"network")
    groups.touch()
    given = [f"extraction.detector.weights={weights}", f"extraction.groups={groups}", f"extraction.labels={groups}"]
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    config = load_overrides(["extraction=yunet", *given, "extraction.fps=3", "trainer.threads=2"], "infer")
    section = config.extraction.model_copy(update={"study": str(study)})
    config = config.model_copy(update={"extraction": section})
    told = tmp_path / "input" / "task"
    told.mkdir(parents=True)
    media = {7: Media(tmp_path / "x.mp4", "deep/x.mp4", "video", "s3://videos/study/deep/x.mp4")}
    write_task(config, media, "s3://videos/study/", told)
    assert (told / "detector.onnx").read_bytes() == b"network"
    task = json.loads((told / "task.json").read_text())
    assert (task["extraction"]["fps"], task["threads"]) == (3, 2)
    assert [task["extraction"][key] for key in ("groups", "labels", "study")] == [None] * 3
    [entry] = task["media"]
    assert (entry["number"], entry["file"], entry["name"]) == (7, "deep/x.mp4", "deep/x.mp4")
    # Weights that are none end the instance with a sentence.
    weights.unlink()
    with pytest.raises(UserError, match=r"detector\.onnx: .*|.*YuNet.*"):
        extract_shard(tmp_path)


def test_instance_without_a_video_ends_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = tmp_path / "input" / "task"
    told.mkdir(parents=True)
    media = {0: Media(tmp_path / "x.mp4", "x.mp4", "video", "s3://videos/x.mp4")}
    with caplog.at_level("INFO"):
        write_task(load_overrides(["trainer.threads=1"], "infer"), media, "s3://videos/", told)
        extract_shard(tmp_path)
    assert "This instance has 0 of the 1 videos" in caplog.text
    assert not list((tmp_path / "output").iterdir())


def test_command_is_one_that_sagemaker_takes() -> None:
    assert all(len(part) <= 256 for part in COMMAND)
