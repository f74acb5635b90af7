import assert from "node:assert/strict";
import test from "node:test";
import { chatParameters, faultOf } from "../../static/js/parameters/catalogue.js";
import { readJson, toolsFault } from "../../static/js/parameters/json_text.js";
import { isPreset, PRESETS, withPreset } from "../../static/js/parameters/presets.js";

const OPENAPI = {
  components: {
    schemas: {
      ChatCompletionRequest: {
        properties: {
          messages: { type: "array" },
          brand_new: { type: ["number", "null"], minimum: 0, maximum: 5, default: 1, description: "New." },
          seed: { type: ["integer", "null"], minimum: -10, maximum: 10 },
          temperature: { type: ["number", "null"], minimum: 0, maximum: 2, default: 1 },
          stop: { type: ["string", "array", "null"] },
          effort: { type: ["string", "null"], enum: ["low", "high", null] },
          logit_bias: { type: ["object", "null"] },
          functions: { not: {} },
          penalty: { type: ["number", "null"], exclusiveMinimum: 0, maximum: 10 },
        },
      },
    },
  },
};

test("parameters come from the server's schema, unknown ones too", () => {
  const kinds = chatParameters(OPENAPI).map(({ name, kind }) => [name, kind]);
  assert.deepEqual(kinds, [
    ["temperature", "number"], ["seed", "integer"], ["stop", "texts"], ["brand_new", "number"], ["effort", "enum"], ["logit_bias", "json"], ["penalty", "number"],
  ]);
});

test("values are held to the schema's ranges", () => {
  const [temperature, seed, , , , , penalty] = chatParameters(OPENAPI);
  assert.equal(faultOf(temperature, 0), null);
  assert.equal(faultOf(temperature, 2.1).key, "parameters.faults.range");
  assert.equal(faultOf(temperature, NaN).key, "parameters.faults.number");
  assert.equal(faultOf(seed, 1.5).key, "parameters.faults.integer");
  assert.equal(faultOf(penalty, 0).key, "parameters.faults.above");
});

test("a preset clears what it does not say, but the seed", () => {
  const [creative] = PRESETS;
  const current = withPreset(creative.parameters, { seed: 7, top_k: 3 });
  assert.deepEqual(current, { ...creative.parameters, seed: 7 });
  assert.ok(isPreset(creative.parameters, current));
  assert.ok(!isPreset(creative.parameters, { ...current, top_k: 3 }));
  assert.ok(isPreset({}, { seed: 1 }));
});

test("JSON that is wrong is wrong somewhere", () => {
  assert.deepEqual(readJson('{"a": 1}'), { value: { a: 1 } });
  for (const [text, line, column, reason] of [
    ['{\n  "a": ,\n}', 2, 8, "json.value"],
    ["[1,\n2", 2, 2, "json.commaOrBracket"],
    ['{"a": 1,}', 1, 9, "json.key"],
    ["{a: 1}", 1, 2, "json.keyOrEnd"],
    ['{"a" 1}', 1, 6, "json.colon"],
    ['{"a": "x\ny"}', 1, 7, "json.value"],
    ["[01]", 1, 2, "json.valueOrEnd"],
    ["{} x", 1, 4, "json.end"],
    ["", 1, 1, "json.value"],
  ]) {
    assert.deepEqual(readJson(text), { line, column, reason }, text);
  }
});

test("tools are checked as far as a page can", () => {
  const good = { type: "function", function: { name: "get", parameters: { type: "object" } } };
  assert.equal(toolsFault([good]), null);
  assert.equal(toolsFault({}).key, "tools.faults.list");
  assert.deepEqual(toolsFault([good, { type: "function" }]), { key: "tools.faults.function", values: { at: 2 } });
  assert.equal(toolsFault([{ type: "function", function: { name: "a b" } }]).key, "tools.faults.name");
  assert.equal(toolsFault([{ type: "function", function: { name: "a", parameters: [] } }]).key, "tools.faults.parameters");
});
