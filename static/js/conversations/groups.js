const DAY_MS = 86_400_000;

/**
 * Rows by when they were last spoken in, pinned ones first. Empty groups are left out.
 * @param {{ pinned: boolean, updated: number }[]} rows Newest first.
 * @param {number} now ms
 * @returns {{ name: "pinned" | "today" | "yesterday" | "week" | "older", rows: object[] }[]}
 */
export function groupByAge(rows, now) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const nameOf = ({ pinned, updated }) => {
    if (pinned) return "pinned";
    if (updated >= midnight) return "today";
    if (updated >= midnight - DAY_MS) return "yesterday";
    return updated >= midnight - 6 * DAY_MS ? "week" : "older";
  };
  return ["pinned", "today", "yesterday", "week", "older"]
    .map((name) => ({ name, rows: rows.filter((row) => nameOf(row) === name) }))
    .filter((group) => group.rows.length);
}
