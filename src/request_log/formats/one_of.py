"""Divides lines of a preset. Each line may have any of the shapes of the preset."""

import re
from collections.abc import Sequence

import numpy as np

from request_log.formats.access_log import Combined, common
from request_log.formats.json_lines import JsonLines
from request_log.formats.line_by_line import NO_COLUMNS, Columns, Divide, DivideChunk, Fields
from request_log.formats.pattern import Expression, pattern
from request_log.formats.presets import Preset, Shape
from request_log.requests import Integers

_OBJECT = b"{"
_NO_GROUP = "remote_user"
_NUMBER_SIGN = re.compile(r"#([0-9A-F]{2})")


class OneOf(DivideChunk):
    """Divides a line that begins with `{` as an object, and any other line as text, by the first shape that it has."""

    def __init__(self, objects: Sequence[Divide], texts: Sequence[Divide]) -> None:
        self._objects = objects
        self._texts = texts

    def __call__(self, line: str) -> Fields | None:
        divides = self._objects if line.startswith(_OBJECT.decode()) else self._texts
        found = (divide(line) for divide in divides)
        return next((fields for fields in found if fields is not None), None)

    def columns(self, data: bytes, starts: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        """See `DivideChunk`. Most logs have one shape, so only the first one that the first line may have is tried."""
        is_object = data.startswith(_OBJECT)
        first, *_ = (self._objects if is_object else self._texts) or (None,)
        if not isinstance(first, DivideChunk):
            return NO_COLUMNS, ()
        columns, places = first.columns(data, starts)
        begins = np.frombuffer(data, np.uint8)[starts[places]] if len(places) else np.empty(0, np.uint8)
        is_mixed = ((begins == _OBJECT[0]) != is_object).any()
        return (NO_COLUMNS, ()) if is_mixed else (columns, places)


def divide_preset(preset: Preset, customer: str) -> Divide:
    """Divides lines of a preset in text or JSON. `customer`: as in LOG_CUSTOMER_FROM. ValueError if its number is too
    high for an expression."""
    objects = [_divide(shape, customer) for shape in preset.shapes if shape.parser == "json"]
    texts = [_divide(shape, customer) for shape in preset.shapes if shape.parser != "json"]
    return objects[0] if len(objects) == 1 and not texts else OneOf(objects, texts)


def _divide(shape: Shape, customer: str) -> Divide:
    word = shape.customer(customer)
    match shape.parser:
        case "json":
            return JsonLines({**shape.members, "customer": word})
        case "console":
            return _console(JsonLines({**shape.members, "customer": word}))
        case "regex":
            divide = pattern(Expression(shape.expression_for(customer)))
            return _with_number_signs(divide) if shape.has_number_signs else divide
        case "common":
            return common(word) if word else _without_customer(common(_NO_GROUP))
        case _:
            return Combined(word) if word else _without_customer(Combined(_NO_GROUP))


def _console(divide: Divide) -> Divide:
    """Reads an object after a time and other words, with tabs between them. The time becomes its member `ts`."""

    def divide_console(line: str) -> Fields | None:
        time, _, rest = line.partition("\t")
        _, brace, members = rest.partition("\t{")
        return divide(f'{{"ts":"{time}",{members}') if brace and not {'"', "\\"} & {*time} else None

    return divide_console


def _without_customer(divide: Divide) -> Divide:
    """Leaves out the customer, for lines that do not have its field."""

    def divide_without(line: str) -> Fields | None:
        fields = divide(line)
        return fields and fields._replace(customer="")

    return divide_without


def _with_number_signs(divide: Divide) -> Divide:
    """Reads the escapes of HAProxy: a byte, and `#` itself, is written as `#C3`, and a backslash is not escaped."""

    def divide_escaped(line: str) -> Fields | None:
        if "#" in line or "\\" in line:
            line = _NUMBER_SIGN.sub(r"\\x\1", line.replace("\\", "\\\\"))
        return divide(line)

    return divide_escaped
