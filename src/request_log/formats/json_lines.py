"""The format `json`: each line is an object, whose members are the fields."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, compress
from math import isfinite
from operator import attrgetter
from types import MappingProxyType
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from request_log.fields.values import request_line, text_of_number
from request_log.formats.line_by_line import NO_COLUMNS, Columns, DivideChunk, Fields
from request_log.formats.loose_json import Bare, Value, read_object
from request_log.line import MIN_LINE_BYTES
from request_log.meanings import Cache
from request_log.requests import Integers, transposed

FIELDS = ("time", "customer", "path", "status", "duration", "duration_2", "duration_3", "method", "bytes", "request")
"""Fields that a member may be. `request` is a line such as `GET /a HTTP/1.1`, for logs without method and path."""
DEFAULT_NAMES = {field: field for field in ("time", "customer", "path", "status", "duration", "method", "bytes")}
"""Field -> the name of its member, for fields that the settings do not name."""
_NUMBER = re.compile(r"(?P<whole>-?(?:0|[1-9][0-9]*))(?P<rest>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_UNUSABLE = "?"
"""Replaces an optional field whose value is an object or a boolean."""
_OPEN, _CLOSE, _RETURN = b"{}\r"
_Paths = Mapping[str, Sequence[Sequence[str]]]
_Members = dict[str, Sequence[Any]]
_Tree = dict[str, "_Tree | None"]
_Kinds = Mapping[str, set[type]]
"""Field -> the kinds of its values."""
_NEVER_EMPTY = {int, float}
_PLAIN_KINDS: tuple[set[type], ...] = ({str}, {int}, {float})
"""Of a column whose values are all of one of these kinds, each value has a text."""
_STRICT_KINDS: tuple[set[type], ...] = ({str}, {int})
"""Kinds that the decoder can be told to expect. For a float it would also take an integer."""
_LEAF = int | float | str | list[Any] | dict[str, Any] | None


class JsonLines(DivideChunk):
    """Divides lines that are objects, or that are read as such."""

    def __init__(self, names: Mapping[str, str], read: Callable[[str], dict[str, Value] | None] = read_object) -> None:
        """`names`: field -> name of its member. `a.b` is the member b of the object a, unless a member itself has that
        name. Of `a|b` the first counts that is not empty. `read`: the members of a line; None if it has none."""
        self._paths = {
            field: [one.split(".") for one in name.split("|")] for field, name in (DEFAULT_NAMES | dict(names)).items()
        }
        self._more_durations = [field for field in ("duration_2", "duration_3") if field in self._paths]
        self._read = read
        self._fast = _fast(self._paths) if read is read_object else None

    def __call__(self, line: str) -> Fields | None:
        record = self._read(line)
        if record is None:
            return None
        texts = {
            field: _first([_text(_member(record, path)) for path in paths]) for field, paths in self._paths.items()
        }
        time, customer, path = texts["time"], texts["customer"], texts["path"]
        if time is None or customer is None or path is None:
            return None
        if not (path or texts["status"] or texts.get(_REQUEST)) and not self._is_of_request(record):
            return None
        method = _usable(texts["method"])
        if _REQUEST in texts:
            method, path = _of_request(method, path, texts[_REQUEST])
        more_durations = tuple(_usable(texts[field]) for field in self._more_durations)
        status, duration, size = map(_usable, (texts["status"], texts["duration"], texts["bytes"]))
        return Fields(time, customer, path, status, duration, method, size, more_durations)

    def _is_of_request(self, record: dict[str, Value]) -> bool:
        """Whether the object has a member, even an empty one, that only messages about requests have."""
        return any(_member(record, path) is not None for field in _OF_REQUEST for path in self._paths.get(field, ()))

    def columns(self, data: bytes, starts: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        """See `DivideChunk`. Takes lines that are JSON."""
        if self._fast is None:
            return NO_COLUMNS, ()
        records, places, kinds = self._fast.records(data, starts)
        if not records:
            return NO_COLUMNS, ()
        members = self._fast.members(records)
        values = {field: self._fast.values(field, records, members) for field in self._paths}
        if not kinds:
            self._fast.expect({field: set(map(type, column)) for field, column in values.items()})
        kinds = {field: kinds.get(field) or set(map(type, column)) for field, column in values.items()}
        integers = [field for field in ("status", "bytes") if kinds[field] == {int}]
        numbers = {field: found for field in integers if (found := _integers(values[field])) is not None}
        texts = {
            field: _texts(values[field], kinds[field]) for field in self._paths.keys() - numbers.keys() - {"duration"}
        }
        # A sum of durations needs texts.
        as_logged = kinds["duration"] == {float} and not self._more_durations
        texts["duration"] = values["duration"] if as_logged else _texts(values["duration"], kinds["duration"])
        have_none = {field for field, column in texts.items() if kinds[field] not in _PLAIN_KINDS and None in column}
        needed = [texts[field] for field in _NEEDED]
        may_be_other = "status" in texts and "" in texts["path"]
        if may_be_other or have_none.intersection(_NEEDED):
            is_good = [None not in row for row in zip(*needed, strict=True)]
            if may_be_other:
                # Lines that may lack the members of a request are divided one by one.
                of_request = zip(*(texts[field] for field in _OF_REQUEST if field in texts), strict=True)
                is_good = [good and any(row) for good, row in zip(is_good, of_request, strict=True)]
            places = places[is_good]
            texts = {field: list(compress(column, is_good)) for field, column in texts.items()}
            numbers = {field: column[is_good] for field, column in numbers.items()}
        times, customers, paths = (cast("list[str]", texts[field]) for field in _NEEDED)

        def usable(field: str) -> list[str]:
            column = texts.get(field, [])
            return list(map(_usable, column)) if field in have_none else cast("list[str]", column)

        statuses, sizes = (numbers.get(field, usable(field)) for field in ("status", "bytes"))
        durations, methods, *more_durations = map(usable, ("duration", "method", *self._more_durations))
        if _REQUEST in texts and len(places):
            pairs = map(_of_request, methods, paths, texts[_REQUEST])
            methods, paths = map(list, zip(*pairs, strict=True))
        more = list(zip(*more_durations, strict=True)) if more_durations else ()
        is_plain = data.isascii() and b"\\" not in data and b"\x7f" not in data
        return Columns(times, customers, paths, statuses, durations, methods, sizes, more, is_plain), places


class _Fast:
    """Decodes only the members of objects that are fields."""

    def __init__(self, paths: _Paths) -> None:
        """`paths`: field -> the members that it may be. A member is given by the names of the objects around it and its
        own name."""
        tree: _Tree = {}
        for path in chain.from_iterable(paths.values()):
            _grow(tree, path)
        self._tree = tree
        root, attributes = _struct(tree)
        self._decoder = msgspec.json.Decoder(root)
        self._attributes = root.__struct_fields__
        self._places = {
            field: [list(_places(attributes, path)) for path in its_paths] for field, its_paths in paths.items()
        }
        self._expected: _Kinds | None = None
        """Field -> the kind that its values have had so far, for fields with one kind; None before the first lines."""
        self._strict: msgspec.json.Decoder[Any] | None = None
        """Takes only objects with the expected kinds, so that their values need no look."""

    def records(self, data: bytes, starts: Integers) -> tuple[list[Any], Integers, _Kinds]:
        """The objects of lines, the places of these lines, and the kinds that the values of fields are known to have.
        Lines that are not JSON are left out."""
        own = np.frombuffer(data, np.uint8)
        newlines = np.append(starts[1:], len(data)) - 1
        ends = newlines - (own[newlines - 1] == _RETURN)
        is_object = (own[starts] == _OPEN) & (own[ends - 1] == _CLOSE) & (newlines - starts + 1 >= MIN_LINE_BYTES)
        if is_object.all():
            # Each line begins with an object, so if there are as many objects as lines, each line has one.
            for decoder, kinds in ((self._strict, self._expected), (self._decoder, None)):
                with suppress(*_NOT_JSON):
                    records = decoder.decode_lines(data) if decoder is not None else []
                    if len(records) == len(starts):
                        return records, np.arange(len(starts)), kinds or {}
        records = []
        places = []
        begins, stops = starts.tolist(), ends.tolist()
        for place in np.flatnonzero(is_object).tolist():
            with suppress(*_NOT_JSON):
                records.append(self._decoder.decode(data[begins[place] : stops[place]]))
                places.append(place)
        return records, np.array(places, np.int64), {}

    def expect(self, kinds: _Kinds) -> None:
        """Expect that values of fields go on to have these kinds. A field with other values is not expected again."""
        expected = {
            field: found
            for field, found in kinds.items()
            if found in _STRICT_KINDS and len(self._places[field]) == len(self._places[field][0]) == 1
        }
        if self._expected is not None:
            expected = {field: found for field, found in expected.items() if self._expected.get(field) == found}
        if expected != self._expected:
            self._expected = expected
            strict, _ = _struct(self._tree, {self._places[field][0][0]: kind for field, (kind,) in expected.items()})
            self._strict = msgspec.json.Decoder(strict) if expected else None

    def members(self, records: list[Any]) -> _Members:
        """The top-level members of the objects: attribute -> column, with UNSET where an object has none."""
        return dict(zip(self._attributes, transposed(map(astuple, records), len(self._attributes)), strict=True))

    def values(self, field: str, records: list[Any], members: _Members) -> Sequence[Any]:
        """A column: the value of the field in each record, UNSET where it has none."""
        columns = []
        if len(self._places[field]) == 1:
            return self._column(self._places[field][0], records, members)
        for places in self._places[field]:
            column = self._column(places, records, members)
            if column.count(UNSET) < len(column):
                columns.append(column)
                if set(map(type, column)) <= _NEVER_EMPTY or (set(map(type, column)) == {str} and "" not in column):
                    break
        if len(columns) < 2:
            return columns[0] if columns else [UNSET] * len(records)
        return [next((value for value in row if _text(value) != ""), UNSET) for row in zip(*columns, strict=True)]

    def _column(self, places: Sequence[str], records: list[Any], members: _Members) -> Sequence[Any]:
        *before, values = (
            members[place] if place in members else list(map(attrgetter(place), records)) for place in places
        )
        for whole in reversed(before):
            if whole.count(UNSET) < len(whole):
                values = [inner if value is UNSET else value for value, inner in zip(whole, values, strict=True)]
        return values


_REQUEST = "request"
_NEEDED = ("time", "customer", "path")
_OF_REQUEST = ("path", _REQUEST, "status")
# What a string of JSON cannot have as it is.
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_NOT_JSON = (msgspec.DecodeError, RecursionError, ValueError)
_Attributes = dict[str, "tuple[str, _Attributes]"]


def _fast(paths: _Paths) -> _Fast | None:
    """None if a struct cannot express the members: if a field is a member of another field, or a name is escaped."""
    whole = set(map(tuple, chain.from_iterable(paths.values())))
    if any(map(_ESCAPED.search, chain.from_iterable(whole))):
        return None
    if any(path[:length] in whole for path in whole for length in range(1, len(path))):
        return None
    return _Fast(paths)


def _grow(tree: _Tree, path: Sequence[str]) -> None:
    name, *rest = path
    tree[".".join(path)] = None
    if rest:
        inner = tree.setdefault(name, {})
        assert inner is not None
        _grow(inner, rest)


def _struct(tree: _Tree, kinds: Mapping[str, type] = MappingProxyType({})) -> tuple[type[msgspec.Struct], _Attributes]:
    """A type with these members, and the names of its attributes. `kinds`: attribute -> the kind that it must have."""
    fields: list[tuple[str, Any, Any]] = []
    attributes: _Attributes = {}
    for number, (name, inner) in enumerate(tree.items()):
        attribute = f"member_{number}"
        if attribute in kinds:
            fields.append((attribute, kinds[attribute], msgspec.NODEFAULT))
            attributes[name] = attribute, {}
        elif inner is None:
            fields.append((attribute, _LEAF | UnsetType, UNSET))
            attributes[name] = attribute, {}
        else:
            kind, attributes_of_inner = _struct(inner)
            fields.append((attribute, kind, kind()))
            attributes[name] = attribute, attributes_of_inner
    rename = {attribute: name for name, (attribute, _) in attributes.items()}
    return msgspec.defstruct("Record", fields, rename=rename, frozen=True, gc=False, kw_only=True), attributes


def _places(attributes: _Attributes, path: Sequence[str], prefix: str = "") -> Iterator[str]:
    """The attributes that may hold the member at a path: for `a.b`, the member of that name, and the one inside `a`."""
    name, *rest = path
    yield prefix + attributes[".".join(path)][0]
    if rest:
        attribute, inner = attributes[name]
        yield from _places(inner, rest, f"{prefix}{attribute}.")


def _of_request(method: str, path: str, request: str | None) -> tuple[str, str]:
    its_method, its_path = request_line(request or "")
    return method or its_method, path or its_path


def _first(texts: Sequence[str | None]) -> str | None:
    """The first text that is not empty."""
    return next((text for text in texts if text != ""), "")


def _usable(text: str | None) -> str:
    return _UNUSABLE if text is None else text


def _member(record: dict[str, Value], path: Sequence[str]) -> Value | None:
    """The member at a path; None if there is none."""
    name, *rest = path
    whole = ".".join(path)
    if not rest or whole in record:
        return record.get(whole)
    inner = record.get(name)
    return _member(inner, rest) if isinstance(inner, dict) else None


def _integers(values: Sequence[int]) -> Integers | None:
    """The values, if all have 64 bits."""
    with suppress(OverflowError):
        return np.array(values, np.int64)
    return None


def _texts(values: Sequence[Any], kinds: set[type]) -> Sequence[str | None]:
    """The texts of values of these `kinds`."""
    if kinds == {str}:
        return values
    if kinds == {int}:
        return list(map(str, values))
    if kinds == {float}:
        return list(map(_FLOATS.__getitem__, values))
    return [value if type(value) is str else _text(value) for value in values]


def _text(value: Any) -> str | None:
    """The text of a value; None if a field cannot have such a value."""
    if isinstance(value, list):
        # Headers are logged as lists, for a header may repeat.
        value = next((member for member in value if isinstance(member, list) or _text(member) != ""), "")
    match value:
        case None | msgspec.UNSET:
            return ""
        case Bare():
            return _bare(value)
        case str():
            return value
        case bool() | list() | dict():
            return None
        case float():
            return text_of_number(value)
    return str(value)


def _bare(text: str) -> str | None:
    if text == "null":
        return ""
    if text in ("true", "false"):
        return None
    match = _NUMBER.fullmatch(text)
    if match is None:
        return str(text)
    if not match["rest"]:
        return "0" if text == "-0" else str(text)
    number = float(text)
    return text_of_number(number) if isfinite(number) else str(text)


_FLOATS = Cache(text_of_number)
