"""What components are made of: modules as one script, rules as one style sheet, and a page to stand alone on."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "components"


@dataclass(frozen=True)
class Source:
    """A component as `st.components.v2.component` takes it: one script, one style sheet."""

    module: str
    """Under components/, without suffix; what it imports comes along."""
    styles: tuple[str, ...]

    def js(self) -> str:
        """The modules as one ES module, each after those it imports."""
        return re.sub(r"^import .*\n", "", "\n".join(_modules(FOLDER / f"{self.module}.js")), flags=re.MULTILINE)

    def css(self) -> str:
        return "".join(_text(f"{name}.css") for name in self.styles)

    def page(self, data: dict[str, Any], title: str) -> str:
        """One self-contained page with the same component; its content security policy allows no request at all."""
        script = self.js() + _text("shared/standalone.js")
        parts = {
            "HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            "TITLE": html.escape(title),
            "STYLE": _text("shared/standalone.css"),
            "SCRIPT": script,
            "CSS": _in_script(self.css()),
            "DATA": _in_script(data),
        }
        return re.sub(r"{{([A-Z]+)}}", lambda found: parts[found[1]], _text("shared/standalone.html"))


def digest(value: object) -> str:
    """Tells a component whether data changed."""
    return hashlib.sha256(_json(value).encode()).hexdigest()[:16]


def _modules(path: Path) -> list[str]:
    """Sources of a module and of all it imports, in an order in which each comes after those it imports."""
    found: dict[Path, str] = {}

    def visit(module: Path) -> None:
        source = module.read_text("utf-8")
        for name in re.findall(r'^import .* from "(.+)";$', source, re.MULTILINE):
            if (imported := (module.parent / name).resolve()) not in found:
                visit(imported)
        found[module] = source

    visit(path.resolve())
    return list(found.values())


def _text(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _in_script(value: object) -> str:
    """JSON that cannot end or open a tag, whatever text it holds."""
    return _json(value).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


TOUR = Source("tour/tour", ())
SHARE = Source("share/share", ("share/share",))
PICTURE = Source("share/picture", ("share/share",))
TYPING = Source("typing/typing", ())
"""Components that draw no figure: keys of a tour, ways to hand on a view, or one figure of it, and what is typed."""
