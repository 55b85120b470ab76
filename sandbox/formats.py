"""str.format under the attribute rules: a format string such as "{0.name[1]}" reads attributes by name."""

from _string import formatter_field_name_split, formatter_parser
from collections.abc import Iterator


def attributes_read(text: str, depth: int = 2) -> Iterator[str]:
    """The attribute names that `text.format()` would read. ValueError, as from format itself, when it is malformed."""
    for _, field, spec, _ in formatter_parser(text):
        if field and ("." in field or "[" in field):
            for is_attribute, name in formatter_field_name_split(field)[1]:
                if is_attribute:
                    yield name
        if spec and "{" in spec and depth:
            yield from attributes_read(spec, depth - 1)
