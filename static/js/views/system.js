import { fill, h } from "../dom.js";
import { createDeviceCard } from "../system/device_card.js";
import { createProcessCard } from "../system/process_card.js";
import { systemSampler } from "../system/sampler.js";

/** Gauges of the machine and of the server's process. See main.js for the contract of a view. */
export function mount(root, app) {
  const { t, shell } = app;
  const platform = h("span.muted.small");
  const fault = h("p.bad", { role: "status", hidden: true });
  const place = h("div.cards.devices");
  const cards = new Map();
  root.append(
    h("section.page", {}, h("header", {}, shell.menuButton(), h("h1", {}, t("nav.system")), platform), fault, place),
  );

  const sampler = systemSampler(app);
  const leave = sampler.subscribe(({ memory, devices, fault: error }) => {
    fault.hidden = !error;
    if (error) fill(fault, t("system.unknown", { reason: error.message }));
    if (!memory) return;
    platform.textContent = memory.platform;
    for (const { kind, facts } of devices) cardOf(kind, () => createDeviceCard(app, kind)).update(facts, sampler.history(kind));
    cardOf("process", () => createProcessCard(app)).update(memory.process, sampler.history("process"));
  });

  function cardOf(name, create) {
    if (!cards.has(name)) {
      cards.set(name, create());
      place.append(cards.get(name).element);
    }
    return cards.get(name);
  }

  return {
    unmount() {
      leave();
      for (const card of cards.values()) card.destroy();
    },
  };
}
