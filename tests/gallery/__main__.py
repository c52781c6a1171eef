"""Every kind of result, drawn, and the administrator's pages, on one page: `make gallery`.

    python -m tests.gallery [--out FOLDER] [--no-viewers] [STUDY ...]

Needs nothing but the package and its development tools; pictures of real viewers are added where
Orthanc, Chromium and OHIF (DICOMNODE_OHIF) are found.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tests.gallery.drawn import Picture, drawn
from tests.gallery.page import page
from tests.gallery.pages import of_pages
from tests.gallery.studies import STUDIES
from tests.gallery.viewers import in_viewers


def gallery(folder: Path, names: Sequence[str], viewers: bool) -> Path:
    """Write the page and all it shows; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    shown: dict[str, list[Picture]] = {}
    for name in names:
        print(f"{name}: made and drawn", flush=True)
        study = STUDIES[name](name)
        studies.append(study)
        shown[name] = []
        for place, result in enumerate(study.results, 1):
            stem = f"{name.replace(' ', '-').lower()}-{place:02}-{result.kind}"
            shown[name] += drawn(study, result, folder, stem)
    notes = in_viewers(studies, shown, folder) if viewers else ["Viewers were not asked for."]
    if viewers:
        shown["administrator's page"], missing = of_pages(folder)
        notes += missing
    index = folder / "index.html"
    index.write_text(page(shown, notes), "utf-8")
    return index


def main() -> None:
    parser = argparse.ArgumentParser(prog="gallery", description="Draw every kind of result.")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--out", type=Path, default=Path("build/gallery"))
    parser.add_argument("--no-viewers", action="store_true")
    chosen = parser.parse_args()
    if unknown := set(chosen.studies) - set(STUDIES):
        parser.error(f"no such study: {', '.join(sorted(unknown))}")
    index = gallery(chosen.out, chosen.studies or list(STUDIES), not chosen.no_viewers)
    print(f"open {index.resolve()}")


if __name__ == "__main__":
    main()
