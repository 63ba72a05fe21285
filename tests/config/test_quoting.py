"""Names and maps as people type them: every name of a file arrives as it is, whatever Hydra's grammar says of it."""

import random
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fer.config import Config
from fer.config.compose import compose_config, load_config, load_overrides
from fer.config.quoting import (
    escape_interpolations,
    quote_literally,
    quote_overrides,
    read_text,
    unescape_interpolations,
)
from fer.runs.run_directory import load_run_config, write_config
from tests.helpers.composing import load_values, refusal

NAMES = [
    *("a b.mp4", "a=b.mp4", "a,b.mp4", "[a].mp4", "[a,b]", "(1)", "clip (1).mp4", "it's.mp4", 'say "hi".mp4', "'q'"),
    *("#1.mp4", "a&b", "Wütend.mp4", "中文 片.mp4", "$5.mp4", "pay$day.mp4", "{a}.mp4", "{a: b}", "a${b}.mp4", "a${b"),
    *("*.mp4", "a?.mp4", "-dash.mp4", "--x=1", "01", "101", "1e3", "nan", "true", "a:b.mp4", "back\\slash", "end\\"),
    *(
        "~tilde",
        "~",
        " lead",
        "trail ",
        "choice(a,b)",
        "a;b|c<d>",
        "`x`",
        "!x",
        "%41",
        "a\tb",
        "a\nb",
        "😀.mp4",
        "???x",
    ),
    *("${oc.env:HOME}", "\\${a}", "@a", "+a", "a\\,b", "null.mp4", "'", '"', "]", "a]b[c", "=", ",", ":", "{", "}"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Several of them fit into one configuration, which takes a fifth of a second to compose.
KEYS = ["extraction.input", "model_uri", "resume", "dataset.cache_dir", "extraction.groups", "registry.store"]
GROUPS = [NAMES[start : start + len(KEYS)] for start in range(0, len(NAMES), len(KEYS))]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    typed = [f"{key}={name}" for key in KEYS]
    # A sweep quotes commas, too.
    for arguments in {tuple(quote_overrides(typed, multirun)) for multirun in (False, True)}:
        # A second pass, as by a process that is started in turn, changes nothing.
        assert tuple(quote_overrides(arguments)) == arguments == tuple(quote_overrides(arguments, multirun=True))
        config = load_values(*arguments, "trainer.stages=[test]", program="infer")
        assert (config.extraction.input, config.model_uri, config.dataset.cache_dir) == (name, name, name)
        assert config.resume == config.extraction.groups == str(tmp_path / name)


@pytest.mark.parametrize("names", GROUPS)
def test_a_saved_run_holds_any_name_for_hydra_and_for_other_readers(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    typed = [f"{key}={name}" for key, name in zip(KEYS, names, strict=False)]
    config = load_overrides([*quote_overrides(typed), "trainer.stages=[test]"], "infer")
    write_config(tmp_path, config, "infer.py")
    assert load_run_config(tmp_path, "infer") == config
    assert load_overrides([], "infer", tmp_path) == config


@pytest.mark.slow
@pytest.mark.parametrize("names", [NAMES[start : start + 2] for start in range(0, len(NAMES), 2)])
def test_what_will_be_made_inside_of_a_directory_of_any_name(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    keys = ("dataset.cache_dir", "registry.store")
    config = load_values(*(f"{key}={name}/new" for key, name in zip(keys, names, strict=False)))
    made = [config.dataset.cache_dir, config.registry.store]
    assert made[: len(names)] == [f"{name}/new" for name in names]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name in NAMES if not name.startswith(("[a,b]", "~", "a\\,b", "${oc", "'q'")) and name.strip() == name],
)
def test_a_name_that_is_not_there_arrives_for_the_message(name: str) -> None:
    if name in ("a,b.mp4", "choice(a,b)", ","):
        assert name == "," or "several values" in refusal(f"extraction.input={name}")
        return
    if name in ("a${b}.mp4", "\\${a}"):
        # It may be another key of the configuration.
        return
    assert load_values(f"extraction.input={name}").extraction.input == name


def test_random_names_survive_quoting() -> None:
    rng = random.Random(0)
    alphabet = [*"ab \\'\"[]{}(),:=#&*$~1e.-+é中/", "${", "}", "${b}", "\\${"]
    for _ in range(500):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 9)))
        value = OverridesParser.create().parse_override(f"key={quote_literally(text)}").value()
        config = OmegaConf.create({"key": ""})
        OmegaConf.update(config, "key", value)
        assert OmegaConf.to_container(config, resolve=True) == {"key": text}
        assert unescape_interpolations(escape_interpolations(text)) == text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("null", None),
        ("[a.mp4,b.mp4]", ("a.mp4", "b.mp4")),
        ("[a b.mp4, c=d.mp4]", ("a b.mp4", "c=d.mp4")),
        ("[101,1e3,nan]", ("101", "1e3", "nan")),
        ("['a,b.mp4',c(1).mp4]", ("a,b.mp4", "c(1).mp4")),
        ("'a b.mp4'", "a b.mp4"),
        ('"a=b.mp4"', "a=b.mp4"),
        ("clips/[ab]*.mp4", "clips/[ab]*.mp4"),
        ("[2024] a.mp4", "[2024] a.mp4"),
        ("**/*.mp4", "**/*.mp4"),
        ("${name}/a b=c.mp4", "mobilenetv2_100/a b=c.mp4"),
        ("s3://bucket/a b=c/(1)/", "s3://bucket/a b=c/(1)/"),
    ],
)
def test_what_hydra_understands_keeps_its_meaning(typed: str, meant: object) -> None:
    assert load_overrides([f"extraction.input={typed}"]).extraction.input == meant


def test_words_and_numbers_are_texts_where_the_key_is_one() -> None:
    for text in ("nan", "101", "1e3", "007", "true", "inf", "1_000"):
        config = load_overrides([f"name={text}", f"tracker.mlflow.experiment={text}", "tracker=mlflow"])
        assert (config.name, config.tracker.mlflow and config.tracker.mlflow.experiment) == (text, text)
        assert yaml.safe_load(yaml.safe_dump(config.dump())) == config.dump()


def test_commas_of_a_sweep_separate_values_and_each_is_quoted() -> None:
    typed = ["extraction.input=a b.mp4,c=d.mp4", "name=1,2", "optimizer.lr=1e-3,1e-4", "name=a,b"]
    assert quote_overrides(typed, multirun=True) == [
        'extraction.input=a b.mp4,"c=d.mp4"',
        'name="1","2"',
        *typed[2:],
    ]


def test_hydras_directories_are_one_text_and_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for key in ("hydra.run.dir", "hydra.sweep.dir"):
        for typed, meant in {
            "~/a b": "/home/me/a b",
            "$HOME/x,1": "/home/me/x,1",
            "out [1]=a": "out [1]=a",
            "a,b": "a,b",
            '"a=b"': "a=b",
        }.items():
            [override] = quote_overrides([f"{key}={typed}"], multirun=True)
            assert OverridesParser.create().parse_override(override).value() == meant
        assert quote_overrides([f"{key}=outputs/${{name}}"]) == [f"{key}=outputs/${{name}}"]
    assert read_text("sweep.resume", "~/a b=c") == "/home/me/a b=c"


MAP = "dataset.sources.folder.class_map"
MAPS = {
    "{joy: happiness, bored: null}": {"joy": "happiness", "bored": None},
    "{joy:happiness,bored:null}": {"joy": "happiness", "bored": None},
    "{0: anger, 1: fear, 01: sad}": {"0": "anger", "1": "fear", "01": "sad"},
    "{1e1: anger, true: fear, null: null, nan: sad}": {"1e1": "anger", "true": "fear", "null": None, "nan": "sad"},
    "{Wütend: anger, 喜び: happy}": {"Wütend": "anger", "喜び": "happy"},
    "{very happy: happiness, 'a,b': fear, x(1): null}": {"very happy": "happiness", "a,b": "fear", "x(1)": None},
    "{}": {},
}


def of_folder(*overrides: str) -> Config:
    return load_values("dataset.sources.folder.root=.", *overrides, options=("dataset=folder",))


def class_map(config: Config) -> object:
    return config.dump()["dataset"]["sources"]["folder"]["class_map"]


@pytest.mark.slow
@pytest.mark.parametrize("typed", MAPS)
@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_map_takes_what_is_typed(typed: str, sign: str, tmp_path: Path) -> None:
    config = of_folder(f"{sign}{MAP}={typed}")
    assert class_map(config) == MAPS[typed]
    write_config(tmp_path, config, "train.py")
    assert load_overrides([], saved=tmp_path) == load_run_config(tmp_path) == config
    again = load_overrides([f"{MAP}={{joy: fear, new: null}}"], saved=tmp_path)
    assert class_map(again) == {**MAPS[typed], "joy": "fear", "new": None}
    inside = load_values(f"dataset.sources.mine={{kind: folder, root: ., class_map: {typed}}}")
    assert inside.dump()["dataset"]["sources"]["mine"]["class_map"] == MAPS[typed]


def test_a_sweep_takes_several_maps() -> None:
    [override] = quote_overrides([f"{MAP}={{Wütend: anger}},{{joy: fear, 01: null}}"], multirun=True)
    jobs = OverridesParser.create().parse_override(override).sweep_string_iterator()
    key = override.partition("=")[0]
    assert [class_map(of_folder(f"{key}={job}")) for job in jobs] == [{"Wütend": "anger"}, {"joy": "fear", "01": None}]


def test_a_map_takes_single_entries() -> None:
    config = of_folder(
        f"{MAP}.joy=happiness", f"{MAP}.0=anger", f"{MAP}.Wütend=anger", f"{MAP}.joy=fear", f"{MAP}.x=null"
    )
    assert class_map(config) == {"joy": "fear", "0": "anger", "Wütend": "anger", "x": None}


def test_maps_of_files_may_have_numbers_for_names(tmp_path: Path) -> None:
    config = compose_config(["dataset=folder", "dataset.sources.folder.root=."])
    OmegaConf.update(config, MAP, {0: "anger", "x": None}, force_add=True)
    assert class_map(load_config(config)) == {"0": "anger", "x": None}


def test_paths_expand_the_home_directory_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.pth").touch()
    data = str(tmp_path / "data")
    for root in ("~/data", "$DATA", "$HOME/data", "${oc.env:DATA}"):
        config = load_overrides(
            [
                *("dataset=folder", f"dataset.sources.folder.root={root}", f"dataset.cache_dir={root}/cache"),
                *(f"model.weights={root}/w.pth", f"model_uri={root}", f"extraction.input=[{root}/a.mp4,{root}/*.png]"),
                *(f"extraction.groups={root}", f"extraction.labels={root}", f"extraction.cache_dir={root}/c"),
                *(f"registry.store={root}/store", f"resume={root}", f"inference.monitor.baseline={root}"),
                *("tracker=mlflow", f"tracker.mlflow.uri=sqlite:///{root}/m.db", f"trainer.resume_from={root}"),
                *("extraction=yunet", f"extraction.detector.weights={root}/w.pth", f"sweep.resume={root}"),
            ],
            "infer",
        )
        found = [text for text in yaml.safe_dump(config.dump(), width=10**6).split() if data in text]
        assert len(found) == 16, found
        assert "~" not in str(config.dump()) and "$" not in str(config.dump())
    assert load_overrides(["model_uri=models:/a~b@champion"], "infer").model_uri == "models:/a~b@champion"
