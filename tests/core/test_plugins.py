"""What installed packages offer: found without an import, and each trouble told in one sentence."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from fer.core.plugins import find_plugin, list_plugins, load_plugin
from fer.errors import PreconditionError, UserError
from tests.helpers.plugin_package import install


class Install(Protocol):
    def __call__(self, package: str, entries: Mapping[str, str], code: str = "") -> None: ...


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package for the time of a test."""

    def install_package(package: str, entries: Mapping[str, str], code: str = "") -> None:
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.syspath_prepend(install(tmp_path / package, package, entries, code))

    return install_package


def test_what_is_installed_is_listed_by_kind_without_an_import(packages: Install) -> None:
    packages("one_offer", {"loss.poly": "one_offer:poly", "callback.poly": "one_offer:Poly"}, "raise SystemExit(3)")
    assert list(list_plugins("loss")) == ["poly"] and list(list_plugins("tracker")) == []
    plugin = find_plugin("callback", "poly", "trainer.callbacks.poly")
    assert (plugin.package, plugin.version, plugin.entry_point) == ("one_offer", "1.0", "one_offer:Poly")
    assert "one_offer" not in sys.modules


def test_a_name_that_is_not_installed_is_told_with_those_that_are(packages: Install) -> None:
    packages("some_losses", {"loss.poly": "some_losses:poly", "loss.huber": "some_losses:huber"})
    with pytest.raises(PreconditionError) as raised:
        find_plugin("loss", "polly", "model.loss.kind=polly", ("focal",))
    assert str(raised.value) == (
        "model.loss.kind=polly: no installed package offers a loss of this name; did you mean poly?; there are focal, "
        "huber, poly; docs/how-to/plugins.md says how to offer one"
    )
    with pytest.raises(PreconditionError, match="no plugin for a tracker is installed; docs/how-to/plugins.md"):
        find_plugin("tracker", "neptune", "tracker.plugins.neptune")


def test_the_current_directory_is_not_looked_in_and_a_package_counts_once(
    packages: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages("passed_on", {"loss.poly": "passed_on:poly"})
    monkeypatch.syspath_prepend(install(tmp_path / "again", "passed_on", {"loss.poly": "passed_on:poly"}))
    assert len(list_plugins("loss")["poly"]) == 1
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "passed_on")])
    monkeypatch.chdir(tmp_path / "passed_on")
    assert list_plugins("loss") == {}


def test_two_packages_of_one_name_are_refused_by_both_names(packages: Install) -> None:
    for package in ("first_rain", "second_rain"):
        packages(package, {"augmentation.rain": f"{package}:Rain", f"augmentation.{package}": f"{package}:Rain"})
    with pytest.raises(PreconditionError) as raised:
        find_plugin("augmentation", "rain", "dataset.augment.plugins.rain")
    assert str(raised.value) == (
        "dataset.augment.plugins.rain: first_rain 1.0 and second_rain 1.0 offer the same augmentation.rain; uninstall "
        "all but one"
    )
    assert find_plugin("augmentation", "second_rain", "").package == "second_rain"


def test_what_is_of_no_kind_is_warned_of_once(packages: Install, caplog: pytest.LogCaptureFixture) -> None:
    names = ("metric.kappa", "loss", "loss.", "loss.a b", "losses.poly")
    packages("odd_offers", dict.fromkeys(names, "odd_offers:x") | {"loss.fine": "odd_offers:x"})
    with caplog.at_level(logging.WARNING):
        assert [list(list_plugins("loss")) for _ in range(2)] == [["fine"]] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"odd_offers offers {name} in fer.plugins, which is not of the form augmentation|callback|loss|tracker.NAME"
        for name in names
    ]


@pytest.mark.parametrize(
    ("code", "entry_point", "reason"),
    [
        ("import not_there_at_all", "broken_one:x", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise SystemExit('no licence')", "broken_one:x", "SystemExit: no licence"),
        ("def x(:", "broken_one:x", "SyntaxError: "),
        ("", "broken_one:x", "AttributeError: module 'broken_one' has no attribute 'x'"),
        ("", "gone_module:x", "ModuleNotFoundError: No module named 'gone_module'"),
        ("", "not a reference", "AttributeError: "),
        ("x = 3", "broken_one:x", None),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    packages: Install, code: str, entry_point: str, reason: str | None
) -> None:
    packages("broken_one", {"loss.x": entry_point}, code)
    plugin = find_plugin("loss", "x", "model.loss.kind=x")
    with pytest.raises(UserError) as raised:
        load_plugin(plugin, "model.loss.kind=x")
    start = f"model.loss.kind=x: loss.x ({entry_point}) of broken_one 1.0 "
    assert str(raised.value).startswith(start + (f"cannot be imported ({reason}" if reason else "is no function"))
    assert "\n" not in str(raised.value)
