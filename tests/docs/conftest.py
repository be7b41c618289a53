"""The builder of the site can be imported by the tests of the pages."""

import sys

from doc_pages import ROOT

sys.path.append(str(ROOT / "scripts"))
