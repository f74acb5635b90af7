/**
 * Cuts server-sent events out of text that arrives in any pieces (WHATWG HTML, "Interpreting an event stream").
 * @returns {{ push(text: string): { event: string, data: string }[] }}
 */
export function createEventReader() {
  let rest = "";
  let event = "";
  let data = [];
  const take = (line, done) => {
    if (line === "") {
      if (data.length) done.push({ event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event") event = value;
  };
  return {
    push(text) {
      rest += text;
      const done = [];
      let from = 0;
      for (;;) {
        const end = lineEnd(rest, from);
        if (!end) break;
        take(rest.slice(from, end.at), done);
        from = end.next;
      }
      rest = rest.slice(from);
      return done;
    },
  };
}

/** A line ends with LF, CR LF or CR; a CR at the very end may still be followed by its LF. */
function lineEnd(text, from) {
  for (let at = from; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === 10) return { at, next: at + 1 };
    if (char === 13) {
      if (at + 1 === text.length) return null;
      return { at, next: text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1 };
    }
  }
  return null;
}
