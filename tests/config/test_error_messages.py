"""Every kind of mistake is answered in a sentence: key, value, what is allowed, and the nearest name."""

import sys
from pathlib import Path

import pytest

from fer.config.compose import load_overrides
from fer.config.error_messages import list_known_keys
from tests.helpers.composing import refusal

OPTIMIZERS = "adamw, adamw_constant, adamw_cosine"

WRONG_KEYS = {
    "trainer.max_epoch=3": "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?",
    "+trainer.max_epoch=3": "trainer.max_epoch=3: there is no such key; did you mean trainer.max_epochs?",
    "++trainer.max_epoch=3": "trainer.max_epoch=3: there is no such key; did you mean trainer.max_epochs?",
    "trainer.lr=1": "trainer.lr: there is no such key; did you mean optimizer.lr?",
    "+trainer.lr=1": "trainer.lr=1: there is no such key; did you mean optimizer.lr?",
    "+batch_size=3": "batch_size=3: there is no such key",
    "trainer.early_stop.patience=3": "trainer.early_stop.patience: there is no such key; did you mean "
    "trainer.early_stopping.patience?",
    "+dataset.augment={mixupp:1}": "dataset.augment.mixupp=1: there is no such key; did you mean "
    "dataset.augment.mixup?",
    "+dataset.sources.synthetic.cuont=3": "dataset.sources.synthetic.cuont=3: there is no such key; did you mean "
    "dataset.sources.synthetic.count?",
    "dataset.sources.synthetic.cuont=3": "dataset.sources.synthetic.cuont: the configuration has no source "
    "'synthetic' or the source has no such key; did you mean dataset.sources.synthetic.count?; choose it "
    "(dataset=synthetic) or add one (+dataset.sources.synthetic='{kind: folder, root: …}')",
    "dataset.sources.ferplus.root=/tmp": "dataset.sources.ferplus.root: the configuration has no source 'ferplus' or "
    "the source has no such key; choose it (dataset=ferplus) or add one (+dataset.sources.ferplus='{kind: folder, "
    "root: …}')",
    "~foo": "foo: there is no such key",
}

WRONG_VALUES = {
    "trainer.max_epochs=three": "trainer.max_epochs=three: must be a whole number",
    "trainer.max_epochs=1.5": "trainer.max_epochs=1.5: must be a whole number",
    "trainer.max_epochs=null": "trainer.max_epochs=null: must be a whole number",
    "trainer.max_epochs=0": "trainer.max_epochs=0: must be at least 1",
    "trainer.max_epochs=true": "trainer: max_epochs must not be true or false",
    "trainer.early_stopping.patience=true": "trainer.early_stopping: patience must not be true or false",
    "dataset.augment.mixup=false": "dataset.augment: mixup must not be true or false",
    "seed=true": "the configuration: seed must not be true or false",
    "seed=-1": "seed=-1: must be at least 0",
    "seed=4294967296": "seed=4294967296: must be below 4294967296",
    "optimizer.lr=fast": "optimizer.lr=fast: must be a number",
    "optimizer.lr=nan": "optimizer.lr=nan: must be a number",
    "optimizer.lr=inf": "optimizer.lr=inf: must be a number",
    "optimizer.lr=0": "optimizer.lr=0: must be above 0.0",
    "optimizer.lr=11": "optimizer.lr=11: must be at most 10.0",
    "optimizer.schedule.warmup=1": "optimizer.schedule.warmup=1: must be below 1.0",
    "dataset.augment.flip=1.5": "dataset.augment.flip=1.5: must be at most 1.0",
    "trainer.compile=perhaps": "trainer.compile=perhaps: must be true or false",
    "trainer.devices=0": "trainer.devices=0: must be at least 1",
    "trainer.early_stopping=3": "trainer.early_stopping=3: input should be a valid dictionary or instance of "
    "EarlyStopping",
    "optimizer.schedule.kind=onecycle": "optimizer.schedule.kind=onecycle: allowed are one_cycle, cosine or constant, "
    "and the schedulers of PyTorch and timm by class name; did you mean one_cycle or OneCycleLR?",
    "dataset.split=offical": "dataset.split=offical: allowed are official, stratified or subject",
    "dataset.classes=6": "dataset.classes=6: allowed are 7 or 8",
    "trainer.precision=48": "trainer.precision=48: allowed are auto, 32, 16, bf16 or 64",
    "trainer.stages=[train]": "trainer.stages.0=train: allowed are fit, test or embed",
    "tracker.kind=wandb": "tracker.kind=wandb: allowed are csv",
    "name=a/b": "name=a/b: must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
    "model.weights_sha256=abc": "model.weights_sha256=abc: must match ^[0-9a-f]{64}$",
    "dataset.sources.synthetic.count=3": "dataset.sources.synthetic.count=3: must be at least 70",
    "~trainer.compile": "trainer.compile: a value is needed",
}

WRONG_OPTIONS = {
    "optimizer=adamw_cosin": f"optimizer=adamw_cosin: there is no such option; did you mean adamw_cosine?; "
    f"allowed are {OPTIMIZERS}",
    "optimizer=sgd": f"optimizer=sgd: there is no such option; allowed are {OPTIMIZERS}",
    "experiment=papr": "experiment=papr: there is no such option; did you mean paper?; allowed are demo, ferplus, "
    "ferplus_best, motion, paper, seeds, sweep_arch, sweep_heads, sweep_lr, sweep_optuna",
    "modle=resnet50": "modle: there is no such key; did you mean model?",
    "+modle=resnet50": "modle=resnet50: there is no such key; did you mean model?",
    "+model/extra=x": "model/extra=x: there is no such key",
    "trainer=null": "trainer=null: a group is set to the name of an option, not to null or a number",
    "model=50": "model=50: a group is set to the name of an option, not to null or a number",
}

WRONG_COMBINATIONS = {
    "optimizer.options={momentum:nan}": "optimizer.options: momentum=nan: must be a number that is finite",
    "trainer.stages=[test]": "the configuration: trainer.stages=[test] needs model_uri, the run or bundle to evaluate",
    "trainer.stages=[test,embed]": "trainer.stages=[test, embed]: allowed are [fit, test], [fit], [test] and [embed]",
    "model_uri=outputs/x": "the configuration: model_uri is only for trainer.stages=[test] and [embed]; to start a "
    "training from weights use model.weights=FILE",
    "trainer.stages=[test] model_uri=x trainer.resume_from=/": "the configuration: trainer.resume_from needs the "
    "stage fit in trainer.stages",
    "trainer.stages=[test,fit]": "trainer.stages=[test, fit]: allowed are [fit, test], [fit], [test] and [embed]",
    "trainer=cpu trainer.precision=16": "trainer: precision=16 needs a GPU; on a CPU use trainer.precision=32 or bf16",
    "dataset.classes=8": "dataset: classes=8 needs a source with contempt (kind ferplus, fer2013, folder, table or "
    "clips), or set dataset.classes=7",
    "dataset.fractions=[0.5,0.5,0.5]": "dataset.fractions=[0.5, 0.5, 0.5]: the three fractions must be 0 or more and "
    "sum to 1",
    "dataset.fractions=[1.5,0.5,-1]": "dataset.fractions=[1.5, 0.5, -1]: the three fractions must be 0 or more and "
    "sum to 1",
    "dataset.fractions=[0.8,0.2]": "dataset.fractions=[0.8, 0.2]: three fractions are needed, of training, validation "
    "and test, that sum to 1, such as dataset.fractions=[0.8,0.1,0.1]",
    "trainer.stages=[]": "trainer.stages=[]: allowed are [fit, test], [fit], [test] and [embed]",
    "extraction.stages=[]": "extraction.stages=[]: stages follow each other: extract, predict, report; none twice, "
    "none left out between, one at least",
    "dataset.cache_dir=$FER_NO_SUCH/x": "dataset.cache_dir=$FER_NO_SUCH/x: there is no environment variable "
    "FER_NO_SUCH; set it, or write the path out",
    "dataset.fractions=[1,0,0]": "dataset.fractions=[1, 0, 0]: the training and the validation fraction "
    "must be above 0",
}

WRONG_CLOUD = {
    "aws=sagemaker": "aws.bucket: a value is needed; add aws.bucket=…",
    "aws.bucket=faces": "aws.bucket: the chosen aws has no such key; another one has: choose it with aws=OPTION",
    "aws=sagemaker aws.bucket=Faces": "aws.bucket=Faces: must match ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
    "aws=sagemaker aws.bucket=faces aws.role=fer": "aws.role=fer: must match ^arn:aws[a-z-]*:iam::\\d{12}:role/.+$",
    "aws=sagemaker aws.bucket=faces aws.transform.max_concurrent=9": "aws.transform: max_payload_mb × max_concurrent "
    "is 180; SageMaker allows 100 MB at most",
    "aws=sagemaker aws.bucket=faces aws.transform.max_payload_mb=4": "aws.transform: shard_mb=5 must not be above "
    "max_payload_mb=4",
    "aws=sagemaker aws.bucket=faces aws.transform.timeout_s=3601": "aws.transform.timeout_s=3601: must be at most 3600",
    "aws=sagemaker aws.bucket=faces aws.transform.retries=4": "aws.transform.retries=4: must be at most 3",
    "aws=sagemaker aws.bucket=faces aws.transform.instance_type=c5": "aws.transform.instance_type=c5: must match "
    "^ml\\.[a-z0-9-]+\\.[a-z0-9]+$",
    "aws=gcp": "aws=gcp: there is no such option; allowed are local, sagemaker",
    "aws.transform.shard_mb=21": "aws.transform.shard_mb=21: must be at most 20.0",
    "registry.name=fer_1": "registry.name=fer_1: must match ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
    "registry.action=remove": (
        "registry.action=remove: allowed are register, list, promote, rollback, show, judge, archive, delete, deploy "
        "or undeploy"
    ),
    "inference.route=batch": "inference.route=batch: allowed are auto, process or transform",
}

WRONG_TRACKERS = {
    "tracker=neptune": "tracker=neptune: there is no such option; allowed are csv, mlflow, tensorboard, wandb",
    "tracker.wandb.project=x": "tracker.wandb.project: the chosen tracker has no such key; another one has: choose it "
    "with tracker=OPTION",
    "tracker=wandb tracker.wandb.mode=on": "tracker.wandb.mode=on: allowed are auto, offline or online",
    "tracker=[csv,wandb] +tracker.wandb.api_key=1": "tracker.wandb.api_key=1: there is no such key",
    "tracker=mlflow tracker.mlflow.uri=http://me:secret@host": "tracker.mlflow.uri=http://me:secret@host: must not "
    "hold a password: run files would keep it; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the "
    "variables of the database, in the environment",
    "tracker.tensorboard=5": "tracker.tensorboard=5: must be true or false",
}

WRONG_SOURCES = {
    "{kind: floder, root: /}": "dataset.sources.mine.kind=floder: allowed are ferplus, rafdb, fer2013, folder, "
    "table, synthetic, clips, synthetic_clips; did you mean folder?",
    "{root: /}": "dataset.sources.mine.kind: a value is needed; it names the kind of source",
    "{kind: folder}": "dataset.sources.mine.root: a value is needed",
    "{kind: folder, root: /nowhere}": "dataset.sources.mine.root=/nowhere: no such file or directory",
    "{kind: folder, root: /, clas_map: {}}": "dataset.sources.mine.clas_map: there is no such key; did you mean "
    "dataset.sources.mine.class_map?",
    "{kind: folder, root: /, class_map: {x: joy}}": "dataset.sources.mine.class_map: folder 'x' is mapped to 'joy', "
    "which is no emotion; allowed are anger, disgust, fear, happiness, neutral, sadness, surprise, contempt, and null "
    "to leave the folder out",
    "{kind: rafdb, root: /, votes: auto}": "dataset.sources.mine.votes=auto: there is no such key",
}

MALFORMED = {
    "trainer.max_epochs": "trainer.max_epochs: is not of the form key=value",
    "trainer.max_epochs=[1": "trainer.max_epochs=[1: the value is no number, word, list [a,b] or map {a: b}; a text "
    "with such characters stands in quotes: 'trainer.max_epochs=\"[1\"'",
    "trainer.max_epoch=(1": "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?",
    "name=a=b": "name=a=b: must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
    "seed=0,1": "seed=0,1: several values; a run with each of them: python train.py -m seed=0,1",
    "optimizer.lr=1e-3,1e-4": "optimizer.lr=1e-3,1e-4: several values; a run with each of them: python train.py -m "
    "optimizer.lr=1e-3,1e-4",
    "dataset=ferplus,rafdb": "dataset=ferplus,rafdb: several values; all of them in one run: "
    "'dataset=[ferplus,rafdb]'; a run with each of them: python train.py -m dataset=ferplus,rafdb",
    "trainer.stages=fit,test": "trainer.stages=fit,test: several values; all of them in one run: "
    "'trainer.stages=[fit,test]'; a run with each of them: python train.py -m trainer.stages=fit,test",
    "name=a,b": "name=a,b: several values; a run with each of them: python train.py -m name=a,b; one text with a "
    "comma: 'name=\"a,b\"'",
    "trainer.threads=${oc.env": "trainer.threads=${oc.env: the value is no number, word, list [a,b] or map {a: b}; a "
    "text with such characters stands in quotes: 'trainer.threads=\"\\${oc.env\"'",
    "name=${HOME}": "name: Interpolation key 'HOME' not found; the environment variable is $HOME in a path, elsewhere "
    "${oc.env:HOME}",
    "trainer.threads=${nowhere}": "trainer.threads: Interpolation key 'nowhere' not found",
    "trainer.threads=${oc.env:NOWHERE_AT_ALL}": "trainer.threads: KeyError raised while resolving interpolation: "
    "\"Environment variable 'NOWHERE_AT_ALL' not found\"",
}

MISTAKES = {**WRONG_KEYS, **WRONG_VALUES, **WRONG_OPTIONS, **WRONG_COMBINATIONS, **WRONG_CLOUD, **MALFORMED}
MISTAKES |= WRONG_TRACKERS


@pytest.mark.slow
@pytest.mark.parametrize("overrides", MISTAKES)
def test_a_mistake_is_a_sentence(overrides: str) -> None:
    assert refusal(*overrides.split(" ")) == MISTAKES[overrides]


@pytest.mark.parametrize(
    ("program", "ways"),
    [
        ("infer.py", "a run with each of them: python infer.py -m model_uri=a,b; one text"),
        ("register.py", "one text"),
    ],
)
def test_several_values_name_the_program_that_was_started(
    program: str, ways: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer.core.installation._program_name", None)
    monkeypatch.setattr("sys.argv", [program])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert f"all of them in one run: 'model_uri=[a,b]'; {ways} with a comma" in refusal("model_uri=a,b")


@pytest.mark.parametrize("source", WRONG_SOURCES)
def test_a_wrong_source_is_a_sentence(source: str) -> None:
    assert refusal(f"+dataset.sources.mine={source}") == WRONG_SOURCES[source]


def test_a_source_name_is_part_of_file_names() -> None:
    assert refusal("+dataset.sources.2={kind: folder, root: /}") == (
        "dataset.sources: the source name '2' must be letters, digits, '_' and '-', no digit first"
    )


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["dataset=ferplus"], ["ferplus"]),
        (["dataset=[rafdb,fer2013]"], ["fer2013", "rafdb"]),
        (["experiment=paper", "dataset.sources.rafdb.root=/"], ["ferplus"]),
    ],
)
def test_missing_values_are_named_all_at_once(overrides: list[str], keys: list[str]) -> None:
    lines = [f"dataset.sources.{key}.root: a value is needed; add dataset.sources.{key}.root=…" for key in keys]
    assert refusal(*overrides).splitlines() == lines


def test_missing_paths_are_named(tmp_path: Path) -> None:
    nowhere, weights = tmp_path / "faces", tmp_path / "w.pth"
    assert refusal("dataset=rafdb", f"dataset.sources.rafdb.root={nowhere}") == (
        f"dataset.sources.rafdb.root={nowhere}: no such file or directory"
    )
    assert refusal(f"model.weights={weights}") == (
        f"model.weights={weights}: no such file or directory; allowed are `none`, `pretrained`, or a weights file"
    )
    assert refusal(f"model.weights={tmp_path}") == (
        f"model.weights={tmp_path}: is a directory; allowed are `none`, `pretrained`, or a weights file"
    )
    assert refusal(f"trainer.resume_from={nowhere}") == f"trainer.resume_from={nowhere}: no such file or directory"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilnetv2_100", "; did you mean mobilenetv2_100 or mobilevitv2_100 or mobilenetv2_140?"),
        ("resnet5O", "; did you mean resnet50 or "),
        ("hf_hub:somebody/model", ""),
        ("hf-hub:somebody/resnet50", ""),
        ("local-dir:/somewhere", ""),
        ("qqqqqqqq", ""),
    ],
)
def test_an_unknown_architecture_is_refused(name: str, hint: str) -> None:
    message = refusal(f"model.name={name}", "name=x")
    assert message.startswith(f"model.name={name}: no architecture of timm has this name{hint}")
    assert ("did you mean" in message) == bool(hint)


def test_every_finding_has_a_line() -> None:
    assert refusal("+seed_=1", "trainer.max_epochs=0", "dataset.split=x", "+optimizer.weight_dcay=1").splitlines() == [
        "dataset.split=x: allowed are official, stratified or subject",
        "optimizer.weight_dcay=1: there is no such key; did you mean optimizer.weight_decay?",
        "trainer.max_epochs=0: must be at least 1",
        "seed_=1: there is no such key; did you mean seed?",
    ]


def test_suggested_keys_exist() -> None:
    assert "dataset.sources.mine.class_map" in list_known_keys({"dataset": {"sources": {"mine": {}}}})
    of_rafdb = set(list_known_keys({"dataset": {"sources": {"mine": {"kind": "rafdb"}}}}))
    assert {key for key in of_rafdb if "mine" in key} == {"dataset.sources.mine.kind", "dataset.sources.mine.root"}
    for odd in (None, [], {"dataset": None}, {"dataset": {"sources": 3}}, {"dataset": 3}):
        keys = list_known_keys(odd)
        assert {"optimizer.lr", "trainer.early_stopping.patience", "model"} <= set(keys)
        assert not any("<" in key for key in keys)


def test_numbers_may_be_written_as_people_write_them() -> None:
    config = load_overrides(["optimizer.lr=1e-3", "trainer.precision=16", "trainer.max_epochs='7'", "model_uri=null"])
    assert (config.optimizer.lr, config.trainer.precision, config.trainer.max_epochs) == (0.001, "16", 7)
