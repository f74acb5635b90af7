// Vercel's AI SDK against a server: `node vercel_client.mjs NODE_MODULES_PARENT BASE_URL MODEL`; prints one JSON object.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, baseURL, name] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const load = (packageName) => import(pathToFileURL(require.resolve(packageName)).href);
const { generateText, streamText, stepCountIs, tool, Output } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { z } = await load("zod");

const provider = createOpenAICompatible({ name: "obeaver", baseURL, apiKey: "unused", supportsStructuredOutputs: true });
const model = provider(name);
const shared = { model, maxOutputTokens: 600, temperature: 0, maxRetries: 0 };

// z.record says `propertyNames: {"type": "string"}`, an email and a date have a format beside a pattern.
const person = z.object({
  name: z.string().max(12),
  contact: z.object({ email: z.email().max(24), born: z.iso.date() }),
  ages: z.record(z.enum(["ann", "bob"]), z.int().min(1).max(99)),
  flags: z.record(z.string().regex(/^[a-z]{1,3}$/), z.boolean()).and(z.object({})).optional(),
  tags: z.array(z.string().max(6)).max(2),
});
// Of each kind of text that zod has a format for, as far as patterns without look-around describe it.
const formats = z.object({
  id: z.uuid(),
  at: z.iso.datetime({ precision: 3 }),
  address: z.ipv4(),
  cuid: z.cuid2().max(8),
  ulid: z.ulid(),
  phone: z.e164(),
  range: z.cidrv4(),
});
const record = z.object({ sizes: z.record(z.string(), z.number()) });

const structured = async (schema, prompt) => {
  const { output, finishReason } = await generateText({ ...shared, prompt, output: Output.object({ schema }) });
  return { output, finishReason, valid: schema.safeParse(output).success };
};

const calls = [];
const weather = tool({
  description: "Tells the weather in a city.",
  inputSchema: z.object({ city: z.string().max(20), units: z.record(z.enum(["c", "f"]), z.boolean()).optional() }),
  execute: async (input) => {
    calls.push(input);
    return { city: input.city, celsius: 21 };
  },
});

const loop = async (make) => {
  calls.length = 0;
  const result = await make({
    ...shared,
    maxOutputTokens: 60,
    prompt: "What is the weather in Paris?",
    tools: { weather },
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? { type: "tool", toolName: "weather" } : "none" }),
  });
  const steps = await result.steps;
  return {
    calls: [...calls],
    steps: steps.map((step) => ({ calls: step.toolCalls.length, results: step.toolResults.length, reason: step.finishReason })),
    text: await result.text,
  };
};

console.log(
  JSON.stringify({
    person: await structured(person, "Make up a person."),
    formats: await structured(formats, "Make up values."),
    record: await structured(record, "One thing and its size, nothing else."),
    loop: await loop(generateText),
    streamedLoop: await loop(async (options) => {
      const result = streamText(options);
      await result.consumeStream();
      return result;
    }),
  }),
);
