"""Calls that name the function first and give its arguments as JSON behind a marker: `name[ARGS]{…}`."""

from obeaver.text.tool_calls.chars import CallOutput, Chars, Malformed, Reading
from obeaver.text.tool_calls.json_calls import JsonCalls

ARGS_MARKER, ID_MARKER = "[ARGS]", "[CALL_ID]"


class NamedCall:
    """Reads one call; the current character is the first of the name."""

    def __init__(self, chars: Chars, out: CallOutput) -> None:
        self._chars = chars
        self._out = out

    def read(self) -> Reading[None]:
        """Read name, markers and arguments. The call's own id, if it has one, is not used.

        Raises:
            Malformed: This is no call of an offered function.
        """
        chars = self._chars
        name = (yield from chars.until("[{", forbidden="\n")).strip()
        if self._out.tool(name) is None:
            raise Malformed
        while chars.char == "[":
            yield from self._marker()
        yield from JsonCalls(chars, self._out).read_arguments(name)

    def _marker(self) -> Reading[None]:
        yield from self._chars.expect("[")
        if self._chars.char == ID_MARKER[1]:
            yield from self._chars.expect(ID_MARKER[1:])
            yield from self._chars.until("[{", forbidden="\n")
        else:
            yield from self._chars.expect(ARGS_MARKER[1:])
            yield from self._chars.skip_space()
