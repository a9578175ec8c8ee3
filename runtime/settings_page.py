"""The documented table of settings, made from `Settings` itself: `python -m runtime.settings_page [PAGE]`.

Without an argument the table is printed; with one, it replaces what stands between the two marks of that page.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from runtime.config import Settings
from runtime.setting_words import allowed, default, is_list, is_secret

BEGIN: Final = "<!-- settings: begin -->"
END: Final = "<!-- settings: end -->"


def table() -> str:
    """A Markdown table, one line a setting, in the order in which they are declared."""
    lines = ["| setting | default | allowed | what it is |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{name}` | {default(field)} | {allowed(field)} | {field.description}{_limits_of_use(field)} |")
    return "\n".join(lines)


def replaced(page: str) -> str:
    """The page with a fresh table between its marks. Raises ValueError where the marks are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def _limits_of_use(field: FieldInfo) -> str:
    return " Not on the command line." if is_secret(field) or is_list(field) else ""


def main(arguments: list[str]) -> int:
    """Print the table, or write it into the page that is named."""
    if not arguments:
        print(table())  # noqa: T201  (a command line)
        return 0
    path = Path(arguments[0])
    path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
