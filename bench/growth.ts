// `npm run bench:growth`: the cost of a relay's work when it has much else to keep: thousands of idle tunnels, or
// thousands of open streams beside the measured one; and what many new connections leave behind. tunl alone, compared with itself in
// the same processes, each time beside another relay with one tunnel.

import {once} from 'node:events';
import {loadavg} from 'node:os';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {type Inspection, preload} from '../test/chaos/rig.js';
import {settled} from '../test/chaos/soaking.js';
import type {Child} from '../test/helpers/child.js';
import {Scope} from '../test/helpers/scope.js';
import {startPark} from '../test/helpers/start-park.js';
import {tcpVisitor} from '../test/helpers/visitors.js';
import {type InTurns, inTurns} from './loads/in-turns.js';
import {wrk} from './loads/wrk.js';
import {endAtSignals} from './machine/interruption.js';
import {memoryMbOf} from './machine/proc.js';
import {start, within} from './machine/programs.js';
import {Tools} from './machine/tools.js';
import {type Route, startTimeoutMs} from './peers/peer.js';
import {program, startTunlRelay, type TunlRelay} from './peers/tunl-relay.js';
import {type Bound, positive, report} from './report-line.js';
import {pieceBytes, startUpstream} from './upstream.js';

const parts = ['streams', 'tunnels', 'connections'];

const usage = `npm run bench:growth -- [--tunnels 10000] [--streams 10000] [--connections 100000] [--rounds 5] [--only PART,…]

  --tunnels      idle tunnels beside the measured one, each with an agent of its own (10000)
  --streams      open streams without traffic beside the measured one, in the same tunnel (10000)
  --connections  new connections, one after another, and a tenth of that over TLS (100000)
  --rounds       how often each is measured; medians count (5)
  --only         ${parts.join(', ')}
`;

/** Processes that have the idle agents. In each they start one after the other. */
const PARKS = 4;

/** Their upstream, which nobody asks for anything. More ports would share one link: an agent has one. */
const PARKED_PORT = 10_000;

/** Streams that are opened at the same time. */
const STREAMS_AT_ONCE = 50;

/** Counts of what is left, from the first of which on nothing may grow. */
const COUNTS = 5;

const goals = {
  /** Requests/s among all ÷ requests/s with one. */
  busy: {atLeast: 0.9},
  /** Median latency among all streams ÷ that with one. "Flat", with room for differences between runs. */
  p50: {atMost: 1.1},
  /** KiB of the relay for each idle agent. */
  idleAgent: {atMost: 70},
  /** More memory after all connections than after the first part of them, MB after a garbage collection. */
  left: {atMost: 1},
  descriptors: {atMost: 0},
};

class Growth {
  readonly #tools: Tools;
  readonly #route: Route;
  readonly #twin: Route;
  readonly #rounds: number;

  /** @param twin the tunnel of another relay, which keeps nothing else */
  constructor(tools: Tools, {route, twin, rounds}: {route: Route; twin: Route; rounds: number}) {
    this.#tools = tools;
    this.#route = route;
    this.#twin = twin;
    this.#rounds = rounds;
  }

  measure(scope: Scope, connections: number): Promise<InTurns> {
    const routes = {first: this.#route, second: this.#twin};
    return inTurns(scope, this.#tools, {...routes, connections, rounds: this.#rounds});
  }

  /** @param relay one without any load yet: memory that a load has freed would hide what idle agents take. */
  async tunnels(scope: Scope, {relay, env}: TunlRelay, count: number): Promise<void> {
    const memory = memoryMbOf(relay.pid, 'VmRSS');
    let among: InTurns;
    let grown = 0;
    {
      await using parked = new Scope();
      process.stderr.write(`${count} tunnels come up\n`);
      const some = {agents: Math.ceil(count / PARKS), ports: [PARKED_PORT], env};
      await Promise.all(Array.from({length: PARKS}, () => startPark(parked, some)));
      // By then the memory of their start is collected, and their first pings have been sent.
      await sleep(10_000);
      grown = memoryMbOf(relay.pid, 'VmRSS') - memory;
      // The first measurement compiles.
      await this.measure(parked, 50);
      among = await this.measure(parked, 50);
    }
    const alone = await this.measure(scope, 50);
    reportAmong('requests/s among idle tunnels', 'perSecond', among, alone, goals.busy, {tunnels: count});
    reportMicros('tunnels', count, alone.relayMicros, among.relayMicros);
    report('relay, KiB an idle agent', (grown * 1e6) / 1024 / count, goals.idleAgent, {tunnels: count});
  }

  async streams(scope: Scope, ends: Ends, count: number): Promise<void> {
    const alone = {one: await this.measure(scope, 1), fifty: await this.measure(scope, 50)};
    const memory = () => [ends.relay, ends.agent].map(({pid}) => memoryMbOf(pid, 'VmRSS'));
    const before = memory();
    await using held = new Scope();
    process.stderr.write(`${count} streams are opened\n`);
    for (let i = 0; i < count; i += STREAMS_AT_ONCE) {
      const some = Math.min(STREAMS_AT_ONCE, count - i);
      await Promise.all(Array.from({length: some}, () => this.#open(held)));
    }
    // By then the memory of their start is collected.
    await sleep(10_000);
    for (const [i, mb] of memory().entries()) {
      const each = ((mb - (before[i] ?? 0)) * 1e6) / 1024 / count;
      report(`${i === 0 ? 'relay' : 'agent'}, KiB an open stream`, each, {}, {streams: count});
    }
    const facts = {streams: count};
    const one = await this.measure(held, 1);
    reportAmong('p50 ms among open streams', 'p50Ms', one, alone.one, goals.p50, facts);
    const fifty = await this.measure(held, 50);
    reportAmong('requests/s among open streams', 'perSecond', fifty, alone.fifty, goals.busy, facts);
    reportMicros('streams', count, alone.fifty.relayMicros, fifty.relayMicros);
  }

  async #open(scope: Scope): Promise<void> {
    const visitor = await tcpVisitor(scope, this.#route.port);
    visitor.write('GET /small HTTP/1.1\r\nHost: bench\r\n\r\n');
    await once(visitor, 'data');
  }

  /** Many new connections; nothing may be left of them in relay and agent. */
  async connections(scope: Scope, kind: string, ends: Ends, count: number): Promise<void> {
    let made = 0;
    const more = async (until: number) => {
      while (made < until) {
        const {requests, errors} = await wrk(scope, this.#tools, this.#route, {
          ...{connections: 20, seconds: 2, close: true},
          signal: scope.signal,
        });
        if (errors > 0) throw new Error(`${errors} connections failed`);
        made += requests;
      }
    };
    const looks: Inspection[][] = [];
    for (let part = 1; part <= COUNTS; part++) {
      await more((count * part) / COUNTS);
      looks.push(await Promise.all([settled(ends.relay), settled(ends.agent)]));
    }
    for (const [i, end] of ['relay', 'agent'].entries()) {
      const [first, last] = [looks.at(0)?.[i], looks.at(-1)?.[i]];
      if (first === undefined || last === undefined) continue;
      const megabytes = ({heapUsed, external}: Inspection) => (heapUsed + external) / 1e6;
      const facts = {connections: made, after: megabytes(last), 'rss MB': last.rss / 1e6};
      report(`${end}, MB left by ${kind} connections`, megabytes(last) - megabytes(first), goals.left, facts);
      const descriptors = last.descriptors - first.descriptors;
      report(`${end}, descriptors left by ${kind} connections`, descriptors, goals.descriptors, {});
    }
  }
}

/** Both figures are ÷ that of the twin in the same seconds, so the machine's drift between them does not count. */
function reportAmong(
  metric: string,
  key: 'perSecond' | 'p50Ms',
  among: InTurns,
  alone: InTurns,
  goal: Bound,
  facts: Record<string, number>,
): void {
  const twins = {'twin alone': alone.beside[key], 'twin among': among.beside[key]};
  const value = among.ratio[key] / alone.ratio[key];
  report(metric, value, goal, {...facts, alone: alone[key], among: among[key], ...twins});
}

/** The relay's CPU time for a request among all ÷ that with one, beside requests/s, which other work on the machine changes more. */
function reportMicros(what: string, count: number, alone: number, among: number): void {
  report(`relay, CPU µs a request among ${what}`, among / alone, {}, {[what]: count, alone, among});
}

/** The two processes of the measured tunnel. */
interface Ends {
  relay: Child;
  agent: Child;
}

/** Exposes nginx; with `--tcp`, or over HTTPS. */
async function expose(
  scope: Scope,
  {relay, env}: {relay: Child; env: Record<string, string>},
  port: number,
  scheme: Route['scheme'],
): Promise<{agent: Child; route: Route}> {
  const words = [program, 'expose', String(port), '--quiet', ...(scheme === 'tcp' ? ['--tcp'] : [])];
  const agent = start(scope, process.execPath, words, {
    env: {...env, TUNL_STATE_DIR: await scope.tempDir('bench-agent')},
    name: 'tunl expose',
  });
  const address = await within(startTimeoutMs, 'address from tunl', agent.line());
  const place = new URL(address.includes('://') ? address : `tcp://${address}`);
  const pids = {relayPid: relay.pid, agentPid: agent.pid};
  return {agent, route: {scheme, host: place.hostname, port: Number(place.port), ...pids}};
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      tunnels: {type: 'string', default: '10000'},
      streams: {type: 'string', default: '10000'},
      connections: {type: 'string', default: '100000'},
      only: {type: 'string', default: parts.join(',')},
      rounds: {type: 'string', default: '5'},
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const [tunnels, streams, connections, rounds] = [
    positive('tunnels', values.tunnels),
    positive('streams', values.streams),
    positive('connections', values.connections),
    positive('rounds', values.rounds),
  ];
  const only = values.only.split(',');
  const unknown = only.filter((name) => !parts.includes(name));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: known are ${parts.join(', ')}`);
  await using scope = new Scope();
  endAtSignals(scope);
  process.stdout.write(`load average before: ${loadavg()[0]?.toFixed(1)}\n`);
  const tools = new Tools();
  const upstream = await startUpstream(scope, tools, pieceBytes);
  const hook = preload('inspect-hook.js');
  // One process: its memory is measured. The default limit of a tunnel would end idle visitors for the measured ones.
  const limits = {TUNL_RELAY_MAX_VISITORS_PER_TUNNEL: String(2 * streams + 1000)};
  const relay = await startTunlRelay(scope, {env: {...hook, ...limits}, flags: ['--workers', '1']});
  const place = {relay: relay.relay, env: {...relay.env, ...hook}};
  const {agent, route} = await expose(scope, place, upstream.port, 'tcp');
  const {route: twin} = await expose(
    scope,
    await startTunlRelay(scope, {flags: ['--workers', '1']}),
    upstream.port,
    'tcp',
  );
  const growth = new Growth(tools, {route, twin, rounds});
  const ends = {relay: relay.relay, agent};
  if (only.includes('tunnels')) await growth.tunnels(scope, relay, tunnels);
  // Both processes have compiled what they run often by the end of it.
  await growth.measure(scope, 50);
  if (only.includes('streams')) await growth.streams(scope, ends, streams);
  if (only.includes('connections')) {
    await growth.connections(scope, 'TCP', ends, connections);
    const secure = await expose(scope, place, upstream.port, 'https');
    await new Growth(tools, {route: secure.route, twin, rounds}).connections(
      scope,
      'TLS',
      {...ends, agent: secure.agent},
      Math.ceil(connections / 10),
    );
  }
}

await main();
