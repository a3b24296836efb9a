// Each kind of attacker beside an honest visitor, in turn with no attacker and with a process that only uses CPU.
import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {Agent, get} from 'node:https';
import {expect} from 'vitest';
import {TokenCommands} from '../../src/lib/relay/access/token-commands.js';
import {Child, cleanEnv} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {domain, preload, type Rig, sized, sleep, startRig} from './rig.js';

const rounds = sized(3, 7);
/** Rounds in which the attackers have a CPU of their own. */
const roundsApart = sized(0, 5);
const measureMs = sized(600, 4_000);
/** The number of the visitor's connections, and the pause between two requests of one. */
const connections = 4;
const pauseMs = 10;

interface Attack {
  script: string;
  words: (rig: Rig, from: string) => string[];
  /** The relay's CPU may be at most this share of one CPU, and of the attacker's own CPU time. */
  share?: number;
  ratio?: number;
  /** It says at its end how many logins it has tried. */
  counts?: boolean;
  /** The visitor continues until the attacker has printed this. */
  until?: RegExp;
}

const stranger = (kind: string, atOnce: number): Attack => ({
  script: 'strangers.js',
  words: (rig, from) => [kind, String(rig.relay.port), domain, from, '0', String(atOnce)],
});
const busyLoop: Attack = {script: 'attackers.js', words: () => ['busy']};
const attacks: Record<string, Attack> = {
  'requests in a pipeline': {...stranger('pipeline', 8), ratio: 2},
  'wrong tokens': {...stranger('login', 50), ratio: 2, counts: true},
  'wrong tokens of the registry, each from another address': {
    ...stranger('tokens', 50),
    ratio: 2,
    counts: true,
  },
  '4,000 ClientHellos in flight': {...stranger('stalled', 4_000), ratio: 4},
  '5,000 that take their time for a request': {...stranger('headers', 5_000), ratio: 4},
  '150 sessions of 100 names that end together': {
    script: 'attackers.js',
    words: () => ['releases'],
    until: /gone/,
  },
  'a flood of pings': {script: 'flooder.js', words: () => ['pings'], share: 0.4},
  'a flood of binds': {script: 'flooder.js', words: () => ['binds'], share: 0.4},
};

/** The longest turn of the relay's event loop, in ms of its own CPU time: everybody else waits for it on any machine. */
const longestTurnMs = 50;

/** Asks for a small page again and again, from its own address. */
class GoodVisitor {
  failed = 0;
  readonly #agent = new Agent({keepAlive: true, maxSockets: connections});
  readonly #site: {host: string; port: number; ca: Buffer};

  constructor(site: {host: string; port: number; ca: Buffer}, scope: Scope) {
    this.#site = site;
    scope.onEnd(() => this.#agent.destroy());
  }

  /** The times of all requests in a while, ms, sorted. */
  async times(end?: Promise<unknown>): Promise<number[]> {
    const until = performance.now() + measureMs;
    let over = end === undefined;
    void end?.finally(() => {
      over = true;
    });
    const times: number[] = [];
    const loop = async () => {
      while (performance.now() < until || !over) {
        const since = performance.now();
        await this.#ask().catch(() => {
          this.failed += 1;
        });
        const took = performance.now() - since;
        times.push(took);
        // Requests that this one delayed also count, otherwise a standstill would be one slow request of many.
        for (let late = took - pauseMs; late > pauseMs; late -= pauseMs) times.push(late);
        await sleep(pauseMs);
      }
    };
    await Promise.all(Array.from({length: connections}, loop));
    return times.sort((a, b) => a - b);
  }

  #ask(): Promise<void> {
    const {host, port, ca} = this.#site;
    const to = {host: '127.0.0.1', port, localAddress: '127.0.0.3', servername: host, ca, headers: {host}};
    return new Promise((resolve, reject) => {
      get({agent: this.#agent, ...to}, (response) => {
        response.resume();
        response.on('end', resolve);
        response.on('error', reject);
      }).on('error', reject);
    });
  }
}

const at = (times: readonly number[], share: number): number =>
  times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.POSITIVE_INFINITY;

const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/**
 * The result of one round: the visitor's times, ms; the relay's longest turn, ms; its share of one CPU, and of the
 * attacker's.
 */
interface Round {
  p50: number;
  p99: number;
  most: number;
  turnMs: number;
  share: number;
  ratio: number;
  /** Logins that the attacker has tried, a second. */
  logins: number;
}

/** How busy the relay was since the last call. */
async function turns({cli}: Rig['relay']): Promise<{longestMs: number; busyMs: number}> {
  const before = [...cli.stderr.matchAll(/"turns":(\d+)/g)].length;
  cli.signal('SIGIO');
  const [line] = await cli.saidOnStderr(new RegExp(`\\{"turns":${before + 1},.*\\}`));
  return JSON.parse(line) as {longestMs: number; busyMs: number};
}

/**
 * Two CPUs of this process. A request of the visitor wakes relay, agent and upstream one after the other. On a CPU that a busy
 * process has, each of them waits some milliseconds until the system stops that process, whatever its priority: this is the
 * system's delay. An attacker on a separate CPU delays the visitor only through the relay.
 */
interface Places {
  visitor: number;
  attacker: number;
}

/** Undefined: there is only one CPU. */
function placesFor(): Places | undefined {
  const [, list = ''] = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const cpus = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({length: last - first + 1}, (_, i) => first + i);
  });
  const [attacker, visitor] = cpus;
  return attacker === undefined || visitor === undefined ? undefined : {visitor, attacker};
}

/** Moves all threads of a process to these CPUs. */
const move = (pid: number, cpus: string): void =>
  void execFileSync('taskset', ['-a', '-p', '-c', cpus, String(pid)]);

interface StartOptions {
  from: string;
  /** The CPU of the attacker. Default: any. */
  cpu: number | undefined;
}

async function startAttack(
  scope: Scope,
  rig: Rig,
  attack: Attack,
  {from, cpu}: StartOptions,
): Promise<Child> {
  const relay = {PORT: String(rig.relay.port), DOMAIN: domain, CA: rig.caFile, TOKEN: rig.relay.token};
  const env = Object.entries(relay).flatMap(([key, value]) => [
    [`ATTACK_${key}`, value],
    [`FLOOD_${key}`, value],
  ]);
  const words = [process.execPath, `${projectRoot}test/helpers/${attack.script}`, ...attack.words(rig, from)];
  // With the lowest priority: a real attacker does not use the relay's CPU. A system that shares its CPUs between groups of
  // processes ignores it.
  const place = cpu === undefined ? [] : ['taskset', '-c', String(cpu)];
  const child = Child.start(scope, 'nice', ['-n', '19', ...place, ...words], {
    env: {...cleanEnv(), ...Object.fromEntries(env), ATTACK_FROM: from},
  });
  await child.saidOnStderr(/begun|flooding/);
  return child;
}

test('attackers of every kind beside an honest visitor', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  await new TokenCommands(stateDir).create({name: 'good', scopes: ['name:*']});
  const rig = await startRig(scope, {stateDir, env: preload('inspect-hook.js', 'turns-hook.js')});
  const upstream = createServer((_request, response) => void response.end('still here'));
  // The visitor's connections are idle while an attacker prepares.
  upstream.keepAliveTimeout = 600_000;
  const {cli: agent, ready} = await rig.expose(await scope.listen(upstream));
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const visitor = new GoodVisitor({host, port, ca: await readFile(rig.caFile)}, scope);
  // Each attack comes from a new address, so the cost of its burst shows every time.
  let sources = 9;
  const measure = async (attack?: Attack, cpu?: number): Promise<Round> => {
    sources += 1;
    const from = `127.0.0.${sources}`;
    const child = attack && (await startAttack(scope, rig, attack, {from, cpu}));
    await turns(rig.relay);
    const since = performance.now();
    const itsCpu = child?.cpuMs() ?? 0;
    const times = await visitor.times(attack?.until && child?.saidOnStderr(attack.until));
    const {longestMs, busyMs} = await turns(rig.relay);
    const ratio = busyMs / Math.max(10, (child?.cpuMs() ?? 0) - itsCpu);
    const share = busyMs / (performance.now() - since);
    const seconds = (performance.now() - since) / 1_000;
    child?.signal(attack?.counts ? 'SIGTERM' : 'SIGKILL');
    await child?.exited;
    const {opened = 0} = attack?.counts ? (JSON.parse(child?.stdout ?? '') as {opened: number}) : {};
    const [p50, p99, most] = [at(times, 0.5), at(times, 0.99), at(times, 1)];
    return {p50, p99, most, turnMs: longestMs, share, ratio, logins: opened / seconds};
  };

  await measure();
  const kinds: [string, Attack | undefined][] = [
    ['nobody', undefined],
    ['a busy loop', busyLoop],
    ...Object.entries(attacks),
  ];
  const seen = new Map<string, Round[]>(kinds.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, attack] of kinds) seen.get(name)?.push(await measure(attack));
  }

  const places = placesFor();
  const apart = new Map<string, Round[]>(kinds.map(([name]) => [name, []]));
  if (places !== undefined && roundsApart > 0) {
    const all = `${places.attacker},${places.visitor}`;
    for (const pid of [rig.relay.cli.pid, agent.pid, process.pid]) move(pid, String(places.visitor));
    scope.onEnd(() => move(process.pid, all));
    for (let round = 0; round < roundsApart; round += 1) {
      for (const [name, attack] of kinds) apart.get(name)?.push(await measure(attack, places.attacker));
    }
  }
  // Other work on the machine only adds to these times, so the quietest round tells most.
  const p99Apart = (name: string) => Math.min(...(apart.get(name) ?? []).map(({p99}) => p99));

  const figure = (name: string, key: keyof Round) => middle((seen.get(name) ?? []).map((each) => each[key]));
  for (const [name] of kinds) {
    const figures = Object.keys(seen.get(name)?.[0] ?? {}).map((key) => [
      key,
      Math.round(figure(name, key as keyof Round) * 100) / 100,
    ]);
    process.stdout.write(`${JSON.stringify({beside: name, ...Object.fromEntries(figures)})}\n`);
  }
  for (const [name, {share, ratio, counts}] of Object.entries(attacks)) {
    // Reported, not judged: attacker, visitor, relay and agent share the machine's CPUs with other processes.
    const figure24 = counts
      ? `figure 24: ${Math.round(figure(name, 'logins'))} logins a second, ${name}`
      : name;
    atMost(figure24, 'p99 by the p99 alone', figure(name, 'p99') / figure('nobody', 'p99'), 2);
    atMost(name, 'p99 by that beside a busy loop', figure(name, 'p99') / figure('a busy loop', 'p99'), 2);
    if ((apart.get(name) ?? []).length > 0)
      atMost(
        name,
        'p99 by the p99 alone, attacker on a separate CPU',
        p99Apart(name) / p99Apart('nobody'),
        2,
      );
    const holds = (metric: string, key: keyof Round, limit: number) =>
      expect.soft(atMost(name, metric, figure(name, key), limit), `${name}: ${metric}`).toBe(true);
    holds('longest turn of the relay, ms of CPU', 'turnMs', longestTurnMs);
    holds('longest request of the good visitor, ms', 'most', 3_000);
    if (share !== undefined) holds('of a processor that the relay spends', 'share', share);
    if (ratio !== undefined) holds('CPU of the relay by that of the attacker', 'ratio', ratio);
  }
  expect(atMost('beside attackers', 'requests failed', visitor.failed, 0)).toBe(true);
  expect(rig.relay.cli.exit).toBeUndefined();
});
