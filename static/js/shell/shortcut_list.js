import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { keyLabels } from "../shortcuts.js";

/** The list of every key that works now. */
export function openShortcutList(app) {
  const { t, shortcuts } = app;
  const rows = shortcuts.all().map(({ keys, words }) => [
    h("dt", {}, keyLabels(keys).map((label) => [h("kbd", {}, label), " "])),
    h("dd", {}, t(words)),
  ]);
  openDialog({ title: t("keys.title"), body: h("dl.key-list", {}, rows), closeWords: t("common.close") });
}
