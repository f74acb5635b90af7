import assert from "node:assert/strict";
import test from "node:test";
import { createEventReader } from "../../static/js/sse.js";

const STREAM = 'data: {"a":1}\n\nevent: tick\r\ndata: one\r\ndata: two\r\n\r\n: comment\n\ndata:last\n\nid: 7\n\n';
const EVENTS = [
  { event: "message", data: '{"a":1}' },
  { event: "tick", data: "one\ntwo" },
  { event: "message", data: "last" },
];

test("events of the whole stream", () => assert.deepEqual(createEventReader().push(STREAM), EVENTS));

test("the same events, cut at every point", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    const reader = createEventReader();
    assert.deepEqual([...reader.push(STREAM.slice(0, at)), ...reader.push(STREAM.slice(at))], EVENTS, String(at));
  }
});

test("sign by sign, and with bare carriage returns", () => {
  const reader = createEventReader();
  assert.deepEqual([...STREAM].flatMap((char) => reader.push(char)), EVENTS);
  assert.deepEqual(createEventReader().push("data: x\r\rdata"), [{ event: "message", data: "x" }]);
});
