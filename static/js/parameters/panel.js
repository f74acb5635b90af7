import { fill, h, iconButton } from "../dom.js";
import { buildRequest } from "../chat/request.js";
import { chatParameters } from "./catalogue.js";
import { parameterField } from "./field.js";
import { formEditor } from "./form_editor.js";
import { presetRow } from "./preset_row.js";
import { promptEditor } from "./prompt_editor.js";
import { toolsEditor } from "./tools_editor.js";

/**
 * The panel of a conversation's settings: system prompt, presets, parameters, form of the answer, tools.
 * @param {object} app @param {() => object | null} conversation @param {() => void} showCode
 */
export function createParameterPanel(app, conversation, showCode) {
  const { t, settings, api } = app;
  const element = h("aside.parameters", { "aria-label": t("parameters.title") });
  const body = h("div.parameter-body");
  let parts = [];
  let isBuilt = false;

  const values = () => conversation()?.row.settings ?? {};
  const set = (part) => conversation().change({ settings: { ...values(), ...part } });
  const parameters = () => values().parameters ?? {};

  function setParameter(name, value) {
    const { [name]: _old, ...others } = parameters();
    set({ parameters: value === undefined ? others : { ...others, [name]: value } });
    preset.update();
  }

  const prompt = promptEditor(app, { system: () => values().system, change: (system) => set({ system }) });
  const preset = presetRow(app, { parameters, change: (next) => (set({ parameters: next }), update()) });
  const form = formEditor(app, { form: () => values().form, change: (next) => set({ form: next }), check });
  const tools = toolsEditor(app, { tools: () => values().tools, change: (tools) => set({ tools }), choice: () => values().toolChoice, choose: (toolChoice) => set({ toolChoice }) });

  /** The server's words on a form; empty where it takes it. One token is the price of asking. */
  async function check(next) {
    const { stream: _s, stream_options: _o, ...request } = buildRequest([{ role: "user", content: "." }], { form: next });
    try {
      await api.post("/v1/chat/completions", { ...request, max_tokens: 1 });
      return "";
    } catch (error) {
      return error.message;
    }
  }

  async function build() {
    isBuilt = true;
    fill(body, prompt.element, preset.element, h("div.parameter-list"), form.element, tools.element);
    try {
      app.session.openapi ??= await api.get("/openapi.json");
      parts = chatParameters(app.session.openapi).map((parameter) => [
        parameter,
        parameterField(parameter, { t, value: () => parameters()[parameter.name], change: (value) => setParameter(parameter.name, value) }),
      ]);
      const of = (isFirst) => parts.filter(([parameter]) => parameter.isFirst === isFirst).map(([, field]) => field.element);
      fill(body.querySelector(".parameter-list"), of(true), h("details.more-parameters", {}, h("summary", {}, t("parameters.more")), h("div", {}, of(false))));
    } catch {
      isBuilt = false;
      fill(body.querySelector(".parameter-list"), h("p.muted", {}, t("parameters.unknown")));
    }
    update();
  }

  function update() {
    if (!isBuilt || !conversation()) return;
    for (const part of [prompt, preset, form, tools, ...parts.map(([, field]) => field)]) part.update();
    showServerFault();
  }

  /** What the server said of the last request, beside the parameter that it names. */
  function showServerFault() {
    const { param, message } = conversation().tree.path().at(-1)?.error ?? {};
    if (!param) return;
    if (/^(response_format|grammar|regex|choice)/.test(param)) form.fail(message);
    else if (/^tools/.test(param)) tools.fail(message);
    else parts.find(([{ name }]) => name === param)?.[1].fail(message);
  }

  function toggle(isOpen = !settings.value.parametersOpen) {
    settings.change({ parametersOpen: isOpen });
    // On a phone the focus would bring up the keyboard.
    if (isOpen && matchMedia("(pointer: fine)").matches) element.querySelector("textarea, input")?.focus();
  }

  fill(
    element,
    h("header.chat-bar", {}, h("h2", {}, t("parameters.title")), h("div.row", {}, iconButton("code", t("snippet.title"), showCode), iconButton("close", t("common.close"), () => toggle(false)))),
    body,
  );
  element.addEventListener("keydown", (event) => event.key === "Escape" && matchMedia("(max-width: 1099px)").matches && (event.stopPropagation(), toggle(false)));
  const leave = settings.subscribe(({ parametersOpen }) => {
    element.hidden = !parametersOpen;
    if (parametersOpen && !isBuilt && conversation()) build();
  });
  return {
    element,
    toggle,
    leave,
    update() {
      if (settings.value.parametersOpen && !isBuilt) build();
      else update();
    },
  };
}
