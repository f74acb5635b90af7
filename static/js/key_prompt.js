import { askText } from "./dialog.js";

/**
 * Asks for the server's API key when a call was refused for want of one. The answer goes to api.js, which keeps it in
 * memory; nothing here stores it. A person who closes the question is not asked again by polls for a minute.
 */
export function createKeyPrompt() {
  let app = null;
  let quietUntil = 0;
  const ready = Promise.withResolvers ? Promise.withResolvers() : deferred();
  return {
    use: (value) => ready.resolve((app = value)),
    /** @param {boolean} refused Whether a key was given before. @returns {Promise<string | null>} */
    async ask(refused) {
      await ready.promise;
      if (Date.now() < quietUntil) return null;
      const { t } = app;
      const answer = await askText(t, {
        title: t("key.title"),
        label: t("key.label"),
        confirm: t("key.confirm"),
        type: "password",
        fault: refused ? t("key.refused") : "",
      });
      if (answer === null) quietUntil = Date.now() + 60000;
      return answer?.trim() || null;
    },
    /** Asks at the next call, whatever was closed before. */
    wake: () => (quietUntil = 0),
  };
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
