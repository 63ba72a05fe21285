"""`python -m fer.export` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.helpers.programs import Program, provenance_of

SMALL = ("dataset.sources.synthetic.count=140", "dataset.sources.synthetic.size=48", "trainer.threads=1")


def test_a_run_is_exported_and_its_export_repeated(program: Program, finished: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    chosen = ("format=openvino", "quantize=int8", "calibration_images=10", "max_loss=1")
    done = program("-m", "fer.export", str(finished), *chosen, *SMALL, f"hydra.run.dir={out}")
    assert done.returncode == 0, done.stderr
    for part in ("ms, batch", "OpenVINO,", f"Exported into {out}"):
        assert part in done.stdout, part
    assert "Calibrated and judged by drawn faces alone" in done.stdout
    assert {"model-int8.xml", "model-int8.bin", "model_card.md", "export.json", "export.log"} <= {
        path.name for path in out.iterdir()
    }
    assert json.loads((out / "export.json").read_text())["model_uri"] == str(finished)
    assert provenance_of(out)["status"] == "finished" and provenance_of(out)["packages"]["nncf"]
    saved = ("--config-dir", str(out), "--config-name", "run", f"hydra.run.dir={again}")
    done = program("-m", "fer.export", *saved)
    assert done.returncode == 0, done.stderr
    for name in ("model-int8.xml", "model-int8.bin"):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name


def test_what_is_wrong_is_told_before_anything_is_made(program: Program, tmp_path: Path) -> None:
    done = program("-m", "fer.export", "nowhere", f"hydra.run.dir={tmp_path / 'out'}")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.startswith("python -m fer.export: model_uri=nowhere: no such file or directory; name a run")


def test_nothing_of_it_reports_its_use() -> None:
    """In a process of its own: NNCF keeps quiet where pytest runs."""
    program = (
        "import sys; from fer.core.openvino_import import import_openvino; import_openvino(); "
        "from nncf.telemetry.wrapper import NNCFTelemetryStub, telemetry; "
        "assert isinstance(telemetry, NNCFTelemetryStub) and sys.modules['openvino_telemetry'] is None"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
