// The output and the flags of the smaller measurements: one line of JSON for each figure, judged by its goal.

export interface Bound {
  atLeast?: number;
  atMost?: number;
}

/** @param facts the measured figures behind `value`. */
export function report(metric: string, value: number, bound: Bound, facts: Record<string, number>): void {
  const pass = value >= (bound.atLeast ?? -Infinity) && value <= (bound.atMost ?? Infinity);
  const shown = Object.entries(facts).map(([key, fact]) => [key, rounded(fact)] as const);
  const line = {metric, ...Object.fromEntries(shown), value: rounded(value), ...bound, pass};
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

export function positive(flag: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`--${flag} ${text}: a whole number from 1 is needed`);
  return Number(text);
}
