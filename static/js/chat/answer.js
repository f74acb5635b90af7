/**
 * An assistant's message as its chunks arrive. Pure: time is a parameter.
 *
 * @param {object} message Is filled in place: `content`, `reasoning`, `toolCalls`, `model`, `figures`.
 * @param {number} begun When the request was sent, in ms of the same clock as `now`.
 */
export function createAnswer(message, begun) {
  const figures = (message.figures ??= {});
  let first = 0;
  let thinkingSince = 0;

  function addDelta({ content, reasoning_content: reasoning, tool_calls: calls }, now) {
    if (!content && !reasoning && !calls) return;
    if (!first) {
      first = now;
      figures.firstSeconds = (now - begun) / 1000;
    }
    if (reasoning) {
      thinkingSince ||= now;
      message.reasoning = (message.reasoning ?? "") + reasoning;
      figures.reasoningSeconds = (now - thinkingSince) / 1000;
    }
    if (content) message.content += content;
    for (const call of calls ?? []) addCall(call);
  }

  function addCall({ index, id, function: part }) {
    message.toolCalls ??= [];
    const call = (message.toolCalls[index] ??= { id: "", name: "", arguments: "" });
    if (id) call.id = id;
    if (part?.name) call.name += part.name;
    if (part?.arguments) call.arguments += part.arguments;
  }

  return {
    /** Takes a chunk of the OpenAI stream. @param {any} chunk @param {number} now */
    add(chunk, now) {
      if (chunk.model) message.model = chunk.model;
      const [choice] = chunk.choices ?? [];
      if (choice) {
        addDelta(choice.delta ?? { content: choice.text }, now);
        if (choice.finish_reason) figures.finish = choice.finish_reason;
      }
      if (chunk.usage) addUsage(figures, chunk.usage);
      figures.seconds = (now - begun) / 1000;
      if (first) figures.writingSeconds = (now - first) / 1000;
    },
  };
}

function addUsage(figures, usage) {
  figures.prompt = usage.prompt_tokens;
  figures.answer = usage.completion_tokens;
  figures.cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
}

/** Tokens a second while the answer was being written, or gone on with: those after the first, over the time after the first. */
export const tokensPerSecond = ({ answer, earlier = 0, writingSeconds }) => perSecond(answer - earlier - 1, writingSeconds);

/** @param {number} count @param {number} seconds @returns {number | null} null where there is nothing to divide. */
export const perSecond = (count, seconds) => (count > 0 && seconds > 0 ? count / seconds : null);
