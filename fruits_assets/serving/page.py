"""The page about the interface: HTML made from its OpenAPI schema, without anything from another host."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

# Nothing but the page itself and its form: no script, no font, no picture.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left}"
    "code,pre{background:#f3f3f3}pre{padding:.6rem;overflow:auto}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}code,pre{background:#222}}"
)
_FORM = (
    '<form action="/identify" method="post" enctype="multipart/form-data"><p><label>A photo: '
    '<input type="file" name="photo" required></label> <button>Identify</button></p></form>'
)


def page_of(schema: Mapping[str, Any], *, has_form: bool) -> str:
    """Returns the page.

    Args:
        schema: The OpenAPI schema.
        has_form: Whether it has a form to try a photo; a browser sends no token.
    """
    title = escape(schema["info"]["title"])
    operations = (
        line
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        for line in _operation(f"{method.upper()} {path}", operation)
    )
    models = (line for name, model in schema["components"]["schemas"].items() for line in _model(name, model))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    about = f"<h1>{title}</h1><p>{escape(schema['info'].get('description', ''))}</p>"
    link = '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
    return "\n".join(
        [head, about, _FORM if has_form else "", link, *operations, "<h2>Answers</h2>", *models, "</html>"]
    )


def _operation(heading: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(heading)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>default</th><th></th></tr>"
        for one in parameters:
            default, about = one["schema"].get("default", ""), one.get("description", "")
            yield _row(f"<code>{escape(one['name'])}</code>", escape(str(default)), escape(about))
        yield "</table>"
    yield "<table><tr><th>status</th><th></th></tr>"
    for status, answer in operation["responses"].items():
        yield _row(escape(status), escape(answer["description"]))
    yield "</table>"


def _model(name: str, model: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3>{escape(name)}</h3><p>{escape(model.get('description', ''))}</p><table>"
    for field, about in model.get("properties", {}).items():
        yield _row(f"<code>{escape(field)}</code>", escape(_type_of(about)), escape(about.get("description", "")))
    yield "</table>"


def _type_of(about: Mapping[str, Any]) -> str:
    if "$ref" in about:
        return str(about["$ref"]).rpartition("/")[2]
    if "anyOf" in about:
        return " or ".join(_type_of(one) for one in about["anyOf"])
    if about.get("type") == "array":
        return f"list of {_type_of(about['items'])}"
    if "enum" in about:
        return " or ".join(map(str, about["enum"]))
    return str(about.get("type", ""))


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
