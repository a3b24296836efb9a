// `npm run bench:cores`: a relay with one, two or more workers, in turns, with several tunnels at the same time. On two cores it shows
// what workers cost; with more cores and `--pin`, what they bring.

import {execFileSync} from 'node:child_process';
import {availableParallelism, loadavg} from 'node:os';
import {parseArgs} from 'node:util';
import {Scope} from '../test/helpers/scope.js';
import {cpuKey} from './figures.js';
import {cpuMeter, REQUESTS_A_UNIT} from './loads/cpu.js';
import {wrk} from './loads/wrk.js';
import {endAtSignals} from './machine/interruption.js';
import {start, within} from './machine/programs.js';
import {Tools} from './machine/tools.js';
import {type Route, startTimeoutMs} from './peers/peer.js';
import {program, startTunlRelay} from './peers/tunl-relay.js';
import {positive, report} from './report-line.js';
import {Results} from './results.js';
import {pieceBytes, startUpstream, type Upstream} from './upstream.js';

const usage = `npm run bench:cores -- [--workers 1,2] [--tunnels 4] [--rounds 5] [--warm 1] [--pin]

  --workers  numbers of workers to compare; ratios are to the first (1,2)
  --tunnels  tunnels of each kind at the same time, each with an agent (4)
  --rounds   how often each is measured, in turns, with new processes (5)
  --warm     seconds of each load before it is measured: two workers have twice the code to compile (1)
  --pin      the relay gets as many cores as it has workers, and all else the cores that no relay gets
`;

/** Connections of each load, over all tunnels. */
const CONNECTIONS = 50;
const SECONDS = 2;

const loads = [
  {key: 'tcp', title: 'requests/s, TCP', scheme: 'tcp', close: false},
  {key: 'https', title: 'requests/s, HTTPS', scheme: 'https', close: false},
  {key: 'tls', title: 'new connections/s, TLS', scheme: 'https', close: true},
] as const;

/** On two cores a second worker may cost this much: work beyond it is the kernel's and the agents'. */
const goal = {atLeast: 0.97};

interface Plan {
  workers: readonly number[];
  tunnels: number;
  rounds: number;
  warmSeconds: number;
  pin: boolean;
}

class Cores {
  readonly #results = new Results();
  readonly #tools: Tools;
  readonly #upstream: Upstream;
  readonly #plan: Plan;

  constructor(tools: Tools, upstream: Upstream, plan: Plan) {
    this.#tools = tools;
    this.#upstream = upstream;
    this.#plan = plan;
  }

  async run(signal: AbortSignal): Promise<void> {
    const {workers, rounds} = this.#plan;
    for (let round = 0; round < rounds; round++) {
      for (const count of round % 2 === 0 ? workers : workers.toReversed()) {
        signal.throwIfAborted();
        process.stderr.write(`round ${round + 1} of ${rounds}: ${count} worker(s)\n`);
        await this.#round(round, count, signal);
      }
    }
    const [first, ...others] = workers.map(String);
    if (first === undefined) return;
    for (const {key, title} of loads) {
      for (const count of others) {
        const ratio = this.#results.ratio(count, key, first) ?? Number.NaN;
        report(`${title}: ${count} workers ÷ ${first}`, ratio, goal, this.#facts(key, [first, count]));
      }
    }
  }

  /** Medians of the rates, and of the relay's CPU seconds for 10,000 requests with all its processes. */
  #facts(key: string, counts: readonly string[]): Record<string, number> {
    const of = (figure: string, name: string) =>
      counts.map((count) => [`${name} ${count}`, this.#results.median(count, figure) ?? Number.NaN] as const);
    return Object.fromEntries([...of(key, 'with'), ...of(`cpu ${key}`, 'relay CPU s with')]);
  }

  async #round(round: number, count: number, signal: AbortSignal): Promise<void> {
    await using scope = new Scope();
    const cores = this.#plan.pin ? {cores: count === 1 ? '0' : `0-${count - 1}`} : {};
    const relay = await startTunlRelay(scope, {flags: ['--workers', String(count)], ...cores});
    const routes: Route[] = [];
    for (let n = 0; n < 2 * this.#plan.tunnels; n++) {
      const scheme = n % 2 === 0 ? 'tcp' : 'https';
      routes.push(await this.#expose(scope, relay.relay.pid, relay.env, scheme));
    }
    for (const {key, scheme, close} of loads) {
      const mine = routes.filter((route) => route.scheme === scheme);
      await this.#load(scope, mine, close, this.#plan.warmSeconds, signal);
      const cpu = cpuMeter({...(mine[0] as Route)}, key);
      const results = await this.#load(scope, mine, close, SECONDS, signal);
      const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
      const used = cpu(sum(results.map(({requests}) => requests)) / REQUESTS_A_UNIT);
      this.#results.add(String(count), round, {
        [key]: sum(results.map(({perSecond}) => perSecond)),
        [`cpu ${key}`]: sum(['user', 'system'].map((kind) => used[cpuKey(key, 'relay', kind)] ?? 0)),
      });
      const errors = sum(results.map((result) => result.errors));
      if (errors > 0) process.stderr.write(`${key}, ${count} worker(s): ${errors} failed\n`);
    }
  }

  #load(scope: Scope, routes: readonly Route[], close: boolean, seconds: number, signal: AbortSignal) {
    const connections = Math.max(1, Math.round(CONNECTIONS / routes.length));
    return Promise.all(
      routes.map((route) => wrk(scope, this.#tools, route, {connections, seconds, close, signal})),
    );
  }

  async #expose(
    scope: Scope,
    relayPid: number,
    env: Record<string, string>,
    scheme: Route['scheme'],
  ): Promise<Route> {
    const flags = scheme === 'tcp' ? ['--tcp'] : [];
    const words = [program, 'expose', String(this.#upstream.port), '--quiet', ...flags];
    const agent = start(scope, process.execPath, words, {
      env: {...env, TUNL_STATE_DIR: await scope.tempDir('bench-agent')},
      name: 'tunl expose',
    });
    const line = await within(startTimeoutMs, 'address from tunl', agent.line());
    const {hostname, port} = new URL(line.includes('://') ? line : `tcp://${line}`);
    return {scheme, host: hostname, port: Number(port), relayPid, agentPid: agent.pid};
  }
}

/** Moves this process, and with it all that it starts, to the cores that no relay gets. */
function leaveCores(count: number): void {
  const all = availableParallelism();
  if (all <= count) {
    throw new Error(`--pin with ${count} workers needs more than ${count} cores; there are ${all}`);
  }
  execFileSync('taskset', ['-a', '-c', '-p', `${count}-${all - 1}`, String(process.pid)], {stdio: 'ignore'});
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      workers: {type: 'string', default: '1,2'},
      tunnels: {type: 'string', default: '4'},
      rounds: {type: 'string', default: '5'},
      warm: {type: 'string', default: '1'},
      pin: {type: 'boolean', default: false},
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const plan: Plan = {
    workers: values.workers.split(',').map((text) => positive('workers', text)),
    tunnels: positive('tunnels', values.tunnels),
    rounds: positive('rounds', values.rounds),
    warmSeconds: positive('warm', values.warm),
    pin: values.pin,
  };
  if (plan.pin) leaveCores(Math.max(...plan.workers));
  await using scope = new Scope();
  endAtSignals(scope);
  process.stdout.write(
    `load average before: ${loadavg()[0]?.toFixed(1)}, cores: ${availableParallelism()}\n`,
  );
  const tools = new Tools();
  const upstream = await startUpstream(scope, tools, pieceBytes);
  await new Cores(tools, upstream, plan).run(scope.signal);
}

await main();
