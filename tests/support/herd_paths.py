"""Where the built programs, the project and the assets lie. The programs' folder is a test's first argument."""

import pathlib
import sys

BINARIES = pathlib.Path(sys.argv.pop(1))
ROOT = pathlib.Path(__file__).resolve().parents[2]
ASSETS = ROOT.parent / "shared" / "assets"
