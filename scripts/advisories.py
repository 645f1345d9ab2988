"""Ask the OSV database which locked packages have published advisories; skipped, and said so, where it is out of reach.

    python scripts/advisories.py [https://api.osv.dev]

Sends names and versions of the lock, nothing else. Ends with 1 where there are advisories.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sbom import document

DATABASE = "https://api.osv.dev"


def advisories(database: str) -> dict[str, list[str]]:
    """Package URL -> names of its advisories. Raises OSError, ValueError, KeyError where it gives no answer."""
    asked = [component["purl"] for component in document()["components"]]
    body = json.dumps({"queries": [{"package": {"purl": purl}} for purl in asked]}).encode()
    request = urllib.request.Request(f"{database}/v1/querybatch", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        results = json.load(answer)["results"]
    found = {purl: [each["id"] for each in said.get("vulns", ())] for purl, said in zip(asked, results, strict=True)}
    return {purl: names for purl, names in found.items() if names}


def main(database: str = DATABASE) -> int:
    try:
        found = advisories(database)
    except (OSError, ValueError, KeyError) as error:
        print(f"skipped: {database} gives no answer ({error})")
        return 0
    for purl, names in found.items():
        print(f"{purl}: {', '.join(names)}")
    print(f"{len(found)} packages with advisories")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
