// Numbers for people.

const whole = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export const count = (value) => whole.format(value);

/** Bytes as [number, unit], in steps of 1000. */
export function bytes(value) {
  let unit = 0;
  let rest = value;
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return [unit === 0 || rest >= 100 ? String(Math.round(rest)) : rest.toFixed(1), UNITS[unit]];
}

export const bytesText = (value) => bytes(value).join(" ");

export function seconds(value) {
  if (value < 0.0995) return `${Math.max(1, Math.round(value * 1000))} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 119.5) return `${Math.round(value)} s`;
  return value < 7200 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}

export const percent = (value) => `${(value * 100).toFixed(1)} %`;
export const short = (id) => id.slice(0, 8);
export const ago = (then, now) => (now - then < 2 ? "just now" : `${seconds(now - then)} ago`);

export function total(spans) {
  return Object.values(spans).reduce((sum, value) => sum + value, 0);
}
