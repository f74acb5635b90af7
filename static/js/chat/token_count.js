import { h } from "../dom.js";
import { buildRequest } from "./request.js";

const AFTER_MS = 500;

/** Tokens that the next request will have, of what the model can read: the server counts, once the typing rests. */
export function createTokenCount(app, conversation) {
  const { t, api, format, health } = app;
  const words = h("span");
  const meter = h("progress.token-meter", { max: 1, value: 0, "aria-label": t("composer.context") });
  const element = h("div.token-count.numbers", { hidden: true }, meter, words);
  let timer = 0;
  let last = 0;

  async function count(text, files) {
    const mine = (last += 1);
    const { tree, row } = conversation();
    const path = [...tree.path(), { role: "user", content: text, attachments: files }];
    const { messages, tools } = buildRequest(path, row.settings);
    try {
      const { count: tokens, max_model_len: most } = await api.post("/v1/tokenize", { messages, ...(tools ? { tools } : {}) });
      if (mine === last) show(tokens, most);
    } catch ({ code }) {
      if (mine !== last) return;
      if (code === "context_length_exceeded") showTooLong();
      else element.hidden = true;
    }
  }

  /** What is far too long is refused by its size, and never counted. */
  function showTooLong() {
    element.hidden = false;
    meter.value = meter.max;
    element.classList.add("full");
    words.textContent = t("composer.tooLong");
  }

  function show(tokens, most) {
    element.hidden = false;
    meter.max = most;
    meter.value = Math.min(tokens, most);
    element.classList.toggle("full", tokens >= most);
    words.textContent = t("composer.ofContext", { number: format.number(tokens), most: format.number(most) });
  }

  return {
    element,
    refresh(text, files) {
      clearTimeout(timer);
      if (!text.trim() && !files.length) {
        last += 1;
        element.hidden = true;
      } else if (health.value.state === "ok") {
        timer = setTimeout(() => count(text, files), AFTER_MS);
      }
    },
    leave: () => clearTimeout(timer),
  };
}
