"""The table of docs/permissions.md: read, and written anew between two marks."""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from fruits_assets.aws.permissions import ROLES, Permission, template_permissions
from spark_steps.denials import REMEDY
from tests.support.project import PROJECT

PAGE = PROJECT / "docs" / "permissions.md"
_BEGIN, _END = "<!-- made by make permissions: -->", "<!-- until here -->"
_UNASKED = "No run on EMR asks for these; without all of them together it is good:"
_UNTRIED = "Not tried yet (`make permissions PERMISSIONS=--missing`):"
_HEADS = "| permission | `fruits run` ends with | clusters left | `fruits doctor` |\n|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """What happens without a permission.

    Attributes:
        permission: Its title.
        sentence: What ``fruits run`` says in the end.
        left: Clusters that are left, and what ends them.
        doctor: The check of ``fruits doctor`` that names it.
    """

    permission: str
    sentence: str
    left: str
    doctor: str


@dataclass(frozen=True)
class Table:
    """What is known of all permissions.

    Attributes:
        rows: By role, those that a run asks for.
        unasked: By role, titles of those that no run on EMR asks for.
    """

    rows: dict[str, list[Row]]
    unasked: dict[str, list[str]]

    def has(self, permission: Permission) -> bool:
        """Returns whether it is known what happens without a permission."""
        found = [row.permission for row in self.rows.get(permission.role, [])]
        return permission.title in [*found, *self.unasked.get(permission.role, [])]


def short(sentence: str) -> str:
    """Returns a message without what another run would have otherwise, and without the remedy that all have."""
    text = " ".join(sentence.partition("\n")[0].split()).replace(f" {REMEDY}", "")
    text = re.sub(r"The run [0-9a-f-]{36} of (\w+) failed\.", r"The run of \1 failed.", text)
    text = re.sub(r"(applications)/\w{10,}", r"\1/...", text)
    text = re.sub(r"\b(j|s|subnet|sg)-\w{8,}", r"\1-...", text)
    text = re.sub(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "...", text)
    return re.sub(r"-\d{12}-eu-west-3|\b\d{12}\b", "", text).replace("|", "\\|")


def read(page: Path = PAGE) -> Table:
    """Reads the table from the page."""
    rows: dict[str, list[Row]] = {}
    unasked: dict[str, list[str]] = {}
    role, is_untried = "", False
    for line in page.read_text().partition(_BEGIN)[2].partition(_END)[0].splitlines():
        if line.startswith("### "):
            role = next(name for name, title in ROLES.items() if _heading(title) == line)
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            rows.setdefault(role, []).append(Row(cells[0].strip("`"), *cells[1:]))
        elif line in (_UNASKED, _UNTRIED):
            is_untried = line == _UNTRIED
        elif line.startswith("- `") and not is_untried:
            unasked.setdefault(role, []).append(line[2:].strip("`"))
    return Table(rows, unasked)


def write(table: Table, page: Path = PAGE) -> None:
    """Writes the table into the page, in the order of the template's permissions."""
    page.write_text(rewritten(table, page.read_text()))


def rewritten(table: Table, text: str) -> str:
    """Returns the text of the page with another table."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{_parts(table)}\n{_END}{rest.partition(_END)[2]}"


def _parts(table: Table) -> str:
    parts: list[str] = []
    for role, title in ROLES.items():
        permissions = [one for one in template_permissions() if one.role == role]
        rows = {row.permission: row for row in table.rows.get(role, [])}
        found = [rows[one.title] for one in permissions if one.title in rows]
        parts += ["", _heading(title)]
        if found:
            parts += ["", _HEADS, *map(_line, found)]
        parts += _listed(_UNASKED, [one.title for one in permissions if one.title in table.unasked.get(role, [])])
        parts += _listed(_UNTRIED, [one.title for one in permissions if not table.has(one)])
    return "\n".join(parts)


def _listed(why: str, titles: Sequence[str]) -> list[str]:
    return ["", why, "", *(f"- `{one}`" for one in titles)] if titles else []


def _heading(title: str) -> str:
    return f"### {title[0].upper()}{title[1:]}"


def _line(row: Row) -> str:
    permission, *others = astuple(row)
    return f"| `{permission}` | {' | '.join(others)} |"


def merged(table: Table, rows: Sequence[tuple[str, Row]]) -> Table:
    """Returns a table with rows in the place of those of the same permissions.

    Args:
        table: The table.
        rows: Each with its role.
    """
    found = {role: {row.permission: row for row in known} for role, known in table.rows.items()}
    unasked = {role: list(titles) for role, titles in table.unasked.items()}
    for role, row in rows:
        found.setdefault(role, {})[row.permission] = row
        unasked[role] = [one for one in unasked.get(role, []) if one != row.permission]
    return Table({role: list(known.values()) for role, known in found.items()}, unasked)
