// Reads a .cpuprofile of V8: the CPU time of each function within a period.

/** The parts of the file that are used. Times are microseconds of the machine's monotonic clock. */
export interface CpuProfile {
  nodes: readonly ProfileNode[];
  startTime: number;
  endTime: number;
  samples: readonly number[];
  timeDeltas: readonly number[];
}

interface ProfileNode {
  id: number;
  callFrame: {functionName: string; url: string; lineNumber: number};
  children?: readonly number[];
}

export interface FunctionTime {
  name: string;
  /** File and line; empty for code that is not JavaScript. */
  place: string;
  selfMs: number;
  /** With everything that it called. */
  totalMs: number;
}

export interface Breakdown {
  /** The length of the period. */
  elapsedMs: number;
  /** Waiting for events. */
  idleMs: number;
  /** By self time, the longest first, without idle time. */
  functions: readonly FunctionTime[];
  /** Self time by origin: module of tunl, package, node, collector, native. */
  origins: ReadonlyMap<string, number>;
}

const idle = '(idle)';

/** Names of V8 for time outside of functions. */
const words = new Map([
  ['(garbage collector)', 'garbage collector'],
  ['(program)', 'native: event loop, kernel, TLS'],
]);

/** The time between two values of `monotonicMicros`. */
export function breakdown(profile: CpuProfile, from: number, to: number): Breakdown {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap(({id, children = []}) => children.map((child) => [child, id])),
  );
  const functions = new Map<string, FunctionTime>();
  const origins = new Map<string, number>();
  let elapsedMs = 0;
  let idleMs = 0;
  let at = profile.startTime;
  profile.samples.forEach((sample, n) => {
    at += profile.timeDeltas[n] ?? 0;
    // A sample stands for the time until the next one.
    const next = at + (profile.timeDeltas[n + 1] ?? 0);
    const ms = Math.max(0, Math.min(next, to) - Math.max(at, from)) / 1000;
    const node = nodes.get(sample);
    if (ms === 0 || node === undefined) return;
    elapsedMs += ms;
    if (node.callFrame.functionName === idle) {
      idleMs += ms;
      return;
    }
    timeOf(functions, node).selfMs += ms;
    const origin = originOf(node);
    origins.set(origin, (origins.get(origin) ?? 0) + ms);
    const counted = new Set<FunctionTime>();
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const above = nodes.get(id);
      if (above !== undefined) counted.add(timeOf(functions, above));
    }
    for (const each of counted) each.totalMs += ms;
  });
  return {
    elapsedMs,
    idleMs,
    functions: [...functions.values()]
      .filter(({name, selfMs}) => selfMs > 0 && name !== '(root)')
      .sort((a, b) => b.selfMs - a.selfMs),
    origins: new Map([...origins].sort(([, a], [, b]) => b - a)),
  };
}

/** Now, on the clock of the profiles of every process of this machine. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function timeOf(functions: Map<string, FunctionTime>, node: ProfileNode): FunctionTime {
  const {functionName, lineNumber} = node.callFrame;
  const file = fileOf(node);
  const name = functionName || '(anonymous)';
  const place = file === '' ? '' : `${file}:${lineNumber + 1}`;
  const key = `${name} ${place}`;
  const known = functions.get(key);
  if (known !== undefined) return known;
  const made = {name, place, selfMs: 0, totalMs: 0};
  functions.set(key, made);
  return made;
}

/** `dist/…`, `node_modules/…` or `node:…`. */
function fileOf({callFrame: {url}}: ProfileNode): string {
  return url.replace(/^file:\/\/.*?\/(?=(?:dist|bin|node_modules)\/)/, '');
}

function originOf(node: ProfileNode): string {
  const file = fileOf(node);
  if (file === '') return words.get(node.callFrame.functionName) ?? 'native: called by JavaScript';
  if (file.startsWith('node:')) return 'node';
  return /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? file;
}
