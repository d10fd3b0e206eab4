"""Lists of things as tables, as JSON, or by the user's template."""

from __future__ import annotations

import sys

from wharfie.cli.errors import CommandError
from wharfie.cli.table import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = ("format", "", "string", "Print by a Go template, 'json', or 'table TEMPLATE'")


def filters(texts: list[str] | None) -> dict[str, dict[str, bool]] | None:
    """``--filter`` values as the API wants them."""
    if not texts:
        return None
    found: dict[str, dict[str, bool]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError("bad format of filter (expected name=value)", 125)
        found.setdefault(name.strip().lower(), {})[value.strip()] = True
    return found


def show(rows: list[dict[str, Any]], columns: list[tuple[str, str]], form: str | None) -> None:
    """Print rows (fields by their template names); ``columns`` are pairs of field and heading."""
    sys.stdout.write(rendered(rows, columns, form))


def rendered(rows: list[dict[str, Any]], columns: list[tuple[str, str]], form: str | None) -> str:
    """What :func:`show` prints."""
    if not form or form == "table":
        lines = [[heading for _, heading in columns]]
        lines += [[str(row[field]) for field, _ in columns] for row in rows]
        return table(lines)
    from wharfie.cli.format.syntax import TemplateError
    from wharfie.cli.format.template import Template, to_json

    if form == "json":
        return "".join(to_json(dict(sorted(row.items()))) + "\n" for row in rows)
    tabular = form.startswith("table ")
    form = unescaped(form)
    try:
        template = Template(form[6:].lstrip() if tabular else form)
    except TemplateError as error:
        raise CommandError(f"failed to parse template: {str(error).partition('error: ')[2]}") from None
    if tabular:
        headings = Headings(columns, rows)
        text = [template.render(headings)] + [template.render(row) for row in rows]
        return table([line.split("\t") for line in text])
    return "".join(template.render(row) + "\n" for row in rows)


def unescaped(form: str) -> str:
    """A list's template: in Docker's lists, and nowhere else, ``\\t`` and ``\\n`` are what they stand for."""
    return form.replace("\\t", "\t").replace("\\n", "\n")


class Headings(dict[str, object]):
    """A row of headings: a field that is in no column is called by its own name in capitals."""

    def __init__(self, columns: list[tuple[str, str]], rows: list[dict[str, Any]]) -> None:
        super().__init__({name: name.upper() for row in rows[:1] for name in row})
        self.update(columns)
        # a field with an argument, as .Label, has that as its heading
        super().update({name: str for row in rows[:1] for name, value in row.items() if callable(value)})
