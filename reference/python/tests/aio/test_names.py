# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callchannel.aio.names import numbered, safe_name


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Übung 1.txt", "Übung 1.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("C:\\Windows\\system32\\calc.exe", "calc.exe"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        (None, "file"),
        ("dir/", "file"),
        (".bashrc", "bashrc"),
        ("a\x00b\n.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("lone\ud800surrogate", "lonesurrogate"),
        ("file.txt:stream", "file.txt_stream"),
        ("what?*<>|.txt", "what_____.txt"),
        ("trailing. . .", "trailing"),
        ("CON", "_CON"),
        ("com1.txt", "_com1.txt"),
        ("lpt²", "_lpt²"),
        ("console.txt", "console.txt"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
        ("é" * 150, "é" * 100),
        ("a." + "b" * 300, "a." + "b" * 198),
    ],
)
def test_what_is_left_of_a_name(hostile: str | None, safe: str) -> None:
    assert safe_name(hostile) == safe
    assert safe_name(safe) == safe


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_name_is_harmless_property(name: str) -> None:
    safe = safe_name(name)
    directory = Path("/downloads")
    assert os.path.normpath(directory / safe) == str(directory / safe)
    assert (directory / safe).parent == directory
    assert safe and len(safe.encode()) <= 201
    assert not set(safe) & set('/\\:*?"<>|\x00\r\n\x1b\u202e')
    assert safe == safe.strip(" .")


def test_names_like_it() -> None:
    names = numbered("a.tar.gz")
    assert [next(names) for _ in range(3)] == ["a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"]
    names = numbered("README")
    assert [next(names) for _ in range(2)] == ["README", "README (1)"]
