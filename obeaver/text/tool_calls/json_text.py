"""The JSON text of an object or an array, checked as far as can be done without holding it back."""

from obeaver.text.tool_calls.chars import Malformed

_CLOSERS = {"{": "}", "[": "]"}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.:,_ \t\r\n")
_CONTROL_END = 0x20
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class JsonText:
    """Follows strings and brackets from an opening bracket to the one that closes it.

    The text passes as the model wrote it, but for two mistakes inside strings that models make and JSON forbids:
    control characters, such as the line breaks of program code, are escaped, and an apostrophe is not.

    Attributes:
        complete: The outermost bracket is closed.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._in_string = False
        self._escaped = False
        self.complete = False

    def feed(self, char: str) -> str:
        """Take the next character.

        Returns:
            What stands for it in the text.

        Raises:
            Malformed: This character cannot stand here.
        """
        if self._in_string:
            return self._feed_string(char)
        if char == '"' and self._open:
            self._in_string = True
        elif char in _CLOSERS:
            self._open.append(_CLOSERS[char])
        elif self._open and char == self._open[-1]:
            self._open.pop()
            self.complete = not self._open
        elif char not in _PLAIN or not self._open:
            raise Malformed
        return char

    def _feed_string(self, char: str) -> str:
        if self._escaped:
            self._escaped = False
            return char if char == "'" else "\\" + char
        if char == "\\":
            self._escaped = True
            return ""
        if char == '"':
            self._in_string = False
        return escape_control(char)


def escape_control(char: str) -> str:
    """A character as it may stand in a JSON string, as far as it is a control character."""
    if ord(char) >= _CONTROL_END:
        return char
    return _SHORT_ESCAPES.get(char, f"\\u{ord(char):04x}")
