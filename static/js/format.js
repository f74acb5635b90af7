/**
 * Numbers, sizes and times in the page's language.
 * @typedef {ReturnType<typeof createFormat>} Format
 * @param {string} language
 */
export function createFormat(language) {
  const plain = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const precise = new Intl.NumberFormat(language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
  const number = (value) => plain.format(value);
  const decimal = (value) => (Math.abs(value) < 100 ? precise : plain).format(value);
  return {
    number,
    /** One digit behind the point below 100, none above. */
    decimal,
    /** @param {number} share 0 to 1 */
    percent: (share) => percent.format(share),
    bytes: (value) => byteText(value, decimal),
    /** Megabytes, as the server counts them (2^20 bytes). */
    megabytes: (value) => byteText(value * 1048576, decimal),
    /** @param {number} seconds */
    seconds: (seconds) => (seconds < 1 ? `${number(seconds * 1000)} ms` : seconds < 100 ? `${decimal(seconds)} s` : minutes(seconds)),
    time: (date) => time.format(date),
    day: (date) => day.format(date),
  };
}

function byteText(value, decimal) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step === 0 ? Math.round(value) : decimal(value)} ${units[step]}`;
}

function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
