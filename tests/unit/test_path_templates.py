"""The file of own templates of paths."""

from pathlib import Path

import pytest

from log_processor.path_templates import MOST_TEMPLATES, read_templates


def test_a_template_a_line_beside_comments(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("# ours\n/shops/{shop}/items\r\n\n  /files/{file}  \n")
    assert read_templates(path) == ("/shops/{shop}/items", "/files/{file}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("orders/{id}", "line 1: orders/{id} does not begin with /"),
        ("/a\n/b/{id", "line 2: /b/{id has a brace that is not around a whole segment"),
        ("/a?b=1", "has a space, a control character, ? or #"),
        ("/" + "a" * 120, "has more than 120 characters"),
        *((f"/a/{segment}/c", "any one segment is {name}") for segment in ("*", "**", ":id", "<int:id>")),
        ("/a/{x}/c\n/a/{y}/c", "line 2: /a/{y}/c matches the same paths as line 1"),
        ("".join(f"/p{n}\n" for n in range(MOST_TEMPLATES + 1)), "has 501 templates, and 500 are allowed"),
    ],
)
def test_what_is_no_template_is_named_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "templates.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".") as error:
        read_templates(path)
    assert fault in str(error.value)
