"""JSON schemas as rows of a page: what a field is called, its type, and what it means."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

JsonSchema = dict[str, Any]

_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


class Field(BaseModel):
    """A row of a table."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str
    meaning: str
    required: bool
    location: str = ""


class Schema(BaseModel):
    """A section of a page: an object with its fields, or an enumeration with its values."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    fields: list[Field]
    values: str = ""


def describe_schema(name: str, schema: JsonSchema) -> Schema:
    """Return a schema as a section."""
    return Schema(
        name=name,
        description=schema.get("description", "").strip(),
        fields=list(_describe_fields(schema)),
        values=", ".join(f"`{value}`" for value in schema.get("enum", [])),
    )


def describe_field(name: str, schema: JsonSchema, *, required: bool, location: str = "") -> Field:
    """Return a property or a parameter as a row."""
    notes = [schema.get("description", "")]
    for kind in [schema, *schema.get("anyOf", [])]:
        notes += [
            text.format(kind[limit]) + "." for limit, text in _LIMITS.items() if limit in kind
        ]
    if schema.get("default") is not None and "efault" not in notes[0]:
        notes.append(f"`{schema['default']}` by default.")
    meaning = " ".join(note[0].upper() + note[1:] for note in notes if note)
    return Field(
        name=name,
        type=describe_type(schema),
        meaning=" ".join(meaning.replace("|", "\\|").split()),
        required=required,
        location=location,
    )


def describe_type(schema: JsonSchema) -> str:
    """Return what JSON a schema permits, with links to the sections of other schemas."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            text = f"[{name}](#{name.lower()})"
        case {"anyOf": kinds} | {"oneOf": kinds}:
            text = " or ".join(describe_type(kind) for kind in kinds)
        case {"enum": values}:
            text = ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            text = f"`{value}`"
        case {"type": "array"}:
            text = f"list of {describe_type(schema.get('items', {}))}"
        case {"type": "object", "additionalProperties": dict(values)}:
            text = f"object of {describe_type(values)}"
        case {"type": str(kind)}:
            text = schema.get("format", kind)
        case _:
            text = "any"
    return text


def _describe_fields(schema: JsonSchema) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        yield describe_field(name, part, required=name in required)
