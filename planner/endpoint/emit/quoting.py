"""Text in double quotes, with escapes that JSON, YAML, HCL and Python read alike."""

from __future__ import annotations


def quoted(text: str) -> str:
    r"""Return text in quotes; what cannot be printed is escaped, so that it stays on its line.

    >>> quoted('a "b"\n')
    '"a \\"b\\"\\u000a"'
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
