// Writes metrics as text for Prometheus, in both of its formats. The values come from the relay when somebody asks.

export interface Family {
  /** Without `_total`, for a counter as well. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** Their values come from the code, or from the operator's settings: a stranger's text would make a new series each time. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export const TEXT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
export const OPEN_METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** In the format of OpenMetrics the name of a counter's family has no `_total`, and there is an end mark. */
export function metricsText(families: readonly Family[], {open}: {open: boolean}): string {
  const lines = families.flatMap(({name, type, help, samples}) => {
    const full = type === 'counter' ? `${name}_total` : name;
    const family = open ? name : full;
    return [
      `# HELP ${family} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
      `# TYPE ${family} ${type}`,
      ...samples.map(({labels, value}) => `${full}${labelText(labels)} ${value}`),
    ];
  });
  return `${[...lines, ...(open ? ['# EOF'] : [])].join('\n')}\n`;
}

function labelText(labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (value: string): string =>
  value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');

/** Whether a client prefers the format of OpenMetrics: it names it in `Accept`. */
export function wantsOpenMetrics(accept: string | undefined): boolean {
  return /application\/openmetrics-text/i.test(accept ?? '');
}
