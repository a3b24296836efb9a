// A figure with a limit, as one line of JSON that a person or a script can collect from the output.

export interface Metric {
  test: string;
  metric: string;
  limit: number;
  value: number;
  pass: boolean;
}

/** Prints the figure and returns whether it holds; the caller asserts. */
export function atMost(test: string, metric: string, value: number, limit: number): boolean {
  return print({test, metric, limit, value, pass: value <= limit});
}

export function atLeast(test: string, metric: string, value: number, limit: number): boolean {
  return print({test, metric, limit, value, pass: value >= limit});
}

function print(metric: Metric): boolean {
  process.stdout.write(`${JSON.stringify(metric)}\n`);
  return metric.pass;
}
