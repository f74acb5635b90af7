import assert from "node:assert/strict";
import test from "node:test";
import { createTree } from "../../static/js/chat/tree.js";

const node = (id, parent, created, role = "user") => ({ id, parent, role, content: id, created });
const ids = (tree) => tree.path().map(({ id }) => id).join("");

const family = () =>
  createTree([node("a", null, 1), node("b", "a", 2, "assistant"), node("c", "b", 3), node("B", "a", 4, "assistant"), node("d", "c", 5, "assistant")], "d");

test("the path leads from the first message to the head", () => assert.equal(ids(family()), "abcd"));

test("siblings can be stepped through, and a branch is found again at its newest end", () => {
  const tree = family();
  assert.deepEqual(tree.place("b"), { index: 0, count: 2 });
  tree.step("b", 1);
  assert.equal(ids(tree), "aB");
  tree.step("B", -1);
  assert.equal(ids(tree), "abcd");
  tree.step("b", -1);
  assert.equal(ids(tree), "abcd");
});

test("to edit a question is to add a sibling", () => {
  const tree = family();
  tree.add(node("A", null, 6));
  assert.equal(ids(tree), "A");
  assert.deepEqual(tree.place("A"), { index: 1, count: 2 });
  tree.step("A", -1);
  assert.equal(ids(tree), "aB");
});

test("without a head that exists, the newest branch is shown", () => {
  assert.equal(ids(createTree([node("b", "a", 2), node("a", null, 1)], "gone")), "ab");
  assert.equal(createTree([], null).head, null);
});
