import { isAbort } from "../api.js";
import { streamedAnswer } from "../measure/streamed_answer.js";

/**
 * Sends one prompt to both sides.
 * @param {{ stream: Function }} api
 * @param {object[]} bodies One chat request a side.
 * @param {{ together: boolean, signal: AbortSignal, onText: (side: number, text: string) => void,
 *   onEnd: (side: number, result: { figures?: object, fault?: Error, isStopped?: boolean }) => void }} run
 *   `together`: both at once, so that they share the machine; else one after the other, each measured alone.
 */
export async function compare(api, bodies, { together, signal, onText, onEnd }) {
  const ask = async (body, side) => {
    try {
      signal.throwIfAborted();
      const { figures } = await streamedAnswer(api, body, { signal, onText: (text) => onText(side, text) });
      onEnd(side, { figures });
    } catch (error) {
      onEnd(side, isAbort(error) ? { isStopped: true } : { fault: error });
    }
  };
  if (together) {
    await Promise.all(bodies.map(ask));
    return;
  }
  for (const [side, body] of bodies.entries()) await ask(body, side);
}
