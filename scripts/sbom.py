"""Write what memviz is made of as CycloneDX 1.5 JSON: every locked package with version, markers and package URL.

python scripts/sbom.py build/sbom.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("constraints.txt", "requirements-first.txt")
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)(?: ; ([^\\\n]+?))?(?: \\)?$", re.MULTILINE)


def components(lock: str) -> list[dict[str, Any]]:
    """A component an entry of the locks."""
    found = []
    for name, version, marker in _ENTRY.findall(lock):
        purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}"
        part = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
        found.append(part | ({"properties": [{"name": "marker", "value": marker}]} if marker else {}))
    return sorted(found, key=lambda each: each["purl"])


def document() -> dict[str, Any]:
    """The whole bill."""
    version = re.search(r'__version__ = "(.*)"', (ROOT / "memviz" / "__init__.py").read_text())
    assert version is not None
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "memviz", "version": version[1]}},
        "components": components("".join((ROOT / name).read_text() for name in LOCKS)),
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document(), indent=1) + "\n")
    print(f"{out}: {len(document()['components'])} packages")
