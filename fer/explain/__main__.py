"""Show what a model looked at: maps of single faces and averaged, checked against shuffled weights, nearest faces.

python -m fer.explain model_uri=RUN face.jpg
    maps by Grad-CAM, integrated gradients and GradientShap, in outputs/explain
python -m fer.explain model_uri=RUN faces/ --whole --neighbours EMBEDDINGS_RUN
    pictures that are cropped to the face; the nearest training faces, of a run of train.py 'trainer.stages=[embed]'
"""

import argparse
import logging
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.quoting import quote_overrides
from fer.core.extras import require_packages
from fer.core.installation import format_command, format_documentation, get_program_name
from fer.errors import UserError
from fer.runs.program import user_errors_to_exit_code
from fer.runs.provenance import get_timestamp
from fer.runs.run_directory import create_unique_directory

if TYPE_CHECKING:
    from fer.explain.faces import CutFace

_OVERRIDE = re.compile(r"[a-z_]+(\.[A-Za-z0-9_]+)*=")
log = logging.getLogger(__name__)


def explain(
    words: list[str], out: Path | None, whole: bool = False, emotion: str | None = None, neighbours: Path | None = None
) -> Path:
    """Explain the faces of images, and write the page with its tables and maps.

    Args:
        words: Images, directories or globs, and overrides of the configuration such as ``model_uri=RUN``.
        out: Where to write, a directory that is new or empty; outputs/explain/DATE/TIME where None.
        whole: Whether every image is a face as it is.
        emotion: The emotion to explain; None explains what the model takes each face for.
        neighbours: A run of the stage embed, in which the nearest faces are sought.

    Returns:
        The directory.

    Raises:
        UserError: Something that a user can correct.

    Examples:
        >>> explain(["model_uri=outputs/train/2026-01-31/12-00-00-demo", "face.jpg"], Path("outputs/why"))
        PosixPath('outputs/why')
    """
    require_packages("captum", purpose=format_command("fer.explain"))
    overrides = [word for word in words if _OVERRIDE.match(word) and not Path(word).exists()]
    inputs = [word for word in words if word not in overrides]
    if not inputs:
        raise UserError("name an image, a directory or a glob to explain")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already, and nothing is overwritten; choose another --out")
    config = load_overrides(quote_overrides(overrides), "infer")
    if isinstance(config.model_uri, tuple):
        raise UserError(
            f"model_uri={config.format_model_uri()}: maps are of one network; name one of these, such as "
            f"model_uri={config.model_uri[0]}"
        )
    # Names that are wrong are answered before PyTorch comes, and before a detector is fetched.
    from fer.bundle.locate import PRETRAINED
    from fer.explain.faces import cut_faces
    from fer.registry.resolve import check_model_is_there, pin_model_uri

    check_model_is_there(config)
    faces = cut_faces(inputs, config.extraction, whole)
    config = pin_model_uri(config, default=PRETRAINED)
    return _explain_by_model(config, faces, out, emotion, neighbours)


def _explain_by_model(
    config: Config, faces: "list[CutFace]", out: Path | None, emotion: str | None, neighbours: Path | None
) -> Path:
    from fer.bundle.io import load_bundle
    from fer.explain.attributions import METHODS
    from fer.explain.neighbours import EmbeddedFaces
    from fer.explain.pipeline import EXPLANATION_HTML, explain_faces, write_explanations
    from fer.registry.resolve import fetch_model

    with tempfile.TemporaryDirectory() as temporary:
        bundle = load_bundle(str(fetch_model(config, Path(temporary)).bundle))
    classes = bundle.description.classes
    if emotion is not None and emotion not in classes:
        raise UserError(f"--emotion {emotion}: the model knows {', '.join(classes)}")
    embedded = EmbeddedFaces(neighbours, bundle.description.weights_sha256) if neighbours is not None else None
    explanations = explain_faces(bundle, faces, emotion, embedded, config.seed)
    folder = out or _create_output_directory()
    kind = None if embedded is None else "training faces" if embedded.has_training else "faces of the embedded data"
    facts = {
        "Model": str(config.model_uri),
        "Architecture": bundle.description.architecture,
        "SHA-256 of the weights": bundle.description.weights_sha256,
        "Methods": ", ".join(METHODS[method] for method in explanations.maps),
        "Seed": str(config.seed),
    }
    command = f"{format_command('fer.explain')} {shlex.join(sys.argv[1:])}"
    title = faces[0].name if len(faces) == 1 else f"{len(faces)} faces"
    write_explanations(folder, explanations, title, facts, command, kind)
    for row, face in enumerate(faces):
        values = explanations.probabilities[row]
        log.info("%s: %s %.3f", face.name, classes[int(values.argmax())], values.max())
    for note in explanations.notes:
        log.info("%s", note)
    log.info("Rank correlation of the maps with those of shuffled weights (1: unchanged, 0: unrelated):")
    for found in explanations.sanity.rows:
        log.info("  %-21s %-15s %5.2f", METHODS[found.method], found.part, found.correlation)
    for method in explanations.sanity.list_suspects():
        log.warning("%s: its maps do not depend on what was learnt; do not trust them here", METHODS[method])
    log.info("Explanation: %s", folder / EXPLANATION_HTML)
    return folder


def _create_output_directory() -> Path:
    timestamp = get_timestamp()
    return Path(create_unique_directory(f"outputs/explain/{timestamp[:10]}/{timestamp[11:19].replace(':', '-')}"))


def main() -> None:
    """Explain the images of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.explain"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="IMAGE|KEY=VALUE",
        help="images, directories or globs; and keys of the configuration: model_uri=MODEL (the one that comes "
        "with the program unless given), seed=N, and those of extraction=haar|yunet by which faces are found",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="the images are cropped to the face; those of at most 128 pixels a side are taken so in any case",
    )
    parser.add_argument("--emotion", metavar="NAME", help="explain this emotion, not the one that is recognised")
    parser.add_argument(
        "--neighbours", type=Path, metavar="RUN", help="show the nearest faces of a run of trainer.stages=[embed]"
    )
    parser.add_argument("--out", type=Path, help="where to write, new or empty; outputs/explain/DATE/TIME unless given")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        explain(args.words, args.out, args.whole, args.emotion, args.neighbours)


if __name__ == "__main__":
    main()
