/**
 * The values of the last minutes, for plots over time: a column of times in seconds since 1970 and one for each series.
 * @param {string[]} names
 * @param {{ spanS?: number, gapS?: number }} [options] Older values are dropped; where nothing came for longer than `gapS`,
 *   as in a hidden tab, the line breaks.
 */
export function createHistory(names, { spanS = 600, gapS = 15 } = {}) {
  const times = [];
  const columns = names.map(() => []);
  return {
    spanS,
    /** @param {number} timeS @param {Record<string, number | null | undefined>} values */
    add(timeS, values) {
      if (times.length > 0 && timeS - times.at(-1) > gapS) push(times, columns, times.at(-1) + gapS / 2, () => null);
      push(times, columns, timeS, (at) => values[names[at]] ?? null);
      const kept = times.findIndex((time) => time >= timeS - spanS);
      for (const column of [times, ...columns]) column.splice(0, kept);
    },
    /** As uPlot takes it: times, then one column for each name. */
    data: () => [times, ...columns],
    last: (name) => columns[names.indexOf(name)].at(-1) ?? null,
  };
}

function push(times, columns, time, valueAt) {
  times.push(time);
  columns.forEach((column, at) => column.push(valueAt(at)));
}
