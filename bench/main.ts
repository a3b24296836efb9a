// `npm run bench`: tunl and other ways to the same upstream, measured alternately in one run.

import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {loadavg} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {Scope} from '../test/helpers/scope.js';
import {goals} from './figures.js';
import {type Load, type LoadContext, loads} from './loads/loads.js';
import {memoryMbOf, type Pids} from './machine/proc.js';
import {within} from './machine/programs.js';
import {cacheFolder, describeMachine, projectRoot, Tools} from './machine/tools.js';
import {type Options, readOptions, usage} from './options.js';
import type {Peer, RunningPeer} from './peers/peer.js';
import {program} from './peers/tunl-relay.js';
import {cpuTable, goalsTable, table} from './report.js';
import {bareNode, judge, Results} from './results.js';
import {isService} from './services.js';
import {startUpstream} from './upstream.js';

/** The limit for a whole load: a peer that hangs must not delay the others. */
const loadTimeoutMs = 120_000;

/** After about two seconds of a load its code is compiled, which shows in the CPU time of V8's threads. */
const WARM_UP_SECONDS = 2;

class Bench {
  readonly #options: Options;
  readonly #signal: AbortSignal;
  readonly #results = new Results();
  /** The peers whose programs are there, in the order of the table. */
  readonly #peers = new Set<Peer>();
  readonly #notes: string[] = [];
  #failed = false;

  constructor(options: Options, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Returns the exit code. */
  async run(scope: Scope): Promise<number> {
    const {rounds, sizeMib, seconds, only} = this.#options;
    if (!existsSync(join(projectRoot, 'dist/index.js'))) throw new Error('there is no build: npm run build');
    const began = new Date();
    const tools = new Tools();
    const routes = loads.filter(({name}) => only.includes(name)).map(({route}) => route ?? '');
    const upstream = await startUpstream(scope, tools, sizeMib * 2 ** 20, {
      services: routes.filter(isService),
    });
    const warmUpSeconds = this.#options.quick ? 0 : WARM_UP_SECONDS;
    const context = {tools, upstream, seconds, warmUpSeconds, signal: this.#signal};
    await this.#choosePeers(context);
    const load = loadavg()[0] ?? 0;
    for (let round = 0; round < rounds; round++) await this.#round(round, context);
    if (only.includes('version') || only.includes('start')) this.#bareCommands();

    const names = [...this.#peers].map(({name}) => name);
    const verdicts = judge(goals, this.#results);
    const machine = describeMachine(tools);
    const commit =
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : '+changes');
    print(
      `${began.toISOString().slice(0, 16)}Z, commit ${commit}, ${rounds} round(s), ${sizeMib} MiB, ${seconds} s a load, ` +
        `load average before: ${load.toFixed(1)}`,
      Object.entries(machine)
        .map(([key, value]) => `${key} ${value}`)
        .join(', '),
      '',
      table(names, this.#results),
      '',
      cpuTable(names, this.#results),
      '',
      ...this.#versionLine(),
      ...(verdicts.length > 0 ? [goalsTable(verdicts), ''] : []),
      ...this.#notes.map((note) => `note: ${note}`),
    );
    mkdirSync(cacheFolder, {recursive: true});
    const file = join(cacheFolder, `${began.toISOString().replace(/[:.]/g, '-')}.json`);
    const {peers: _peers, ...settings} = this.#options;
    const record = {
      began,
      commit,
      machine,
      load,
      options: settings,
      results: this.#results,
      verdicts,
      notes: this.#notes,
    };
    writeFileSync(file, `${JSON.stringify(record, undefined, 2)}\n`);
    process.stderr.write(`written: ${file}\n`);
    return this.#failed ? 1 : 0;
  }

  async #choosePeers(context: LoadContext): Promise<void> {
    for (const peer of this.#options.peers) {
      const missing = peer.missing?.() ?? (await context.tools.provide(peer.needs, this.#signal));
      if (missing === undefined) this.#peers.add(peer);
      else this.#note(`${peer.name} is left out: ${missing}`);
    }
  }

  /** All loads, through processes that start for this round: a process keeps its luck (compiled code, memory's places) for its life. */
  async #round(round: number, context: LoadContext): Promise<void> {
    await using scope = new Scope();
    const running = new Map<string, RunningPeer>();
    for (const peer of this.#peers) {
      this.#signal.throwIfAborted();
      process.stderr.write(
        `round ${round + 1} of ${this.#options.rounds}: starting ${peer.name}: ${peer.about}\n`,
      );
      const started = await peer.start(scope, context);
      running.set(peer.name, started);
      if (started.relayBeforeMb !== undefined) {
        this.#results.add(peer.name, round, {relayBefore: started.relayBeforeMb});
      }
    }
    // No peer is always the first, or always behind the same one.
    const turn = round % 2 === 0 ? [...running] : [...running].toReversed();
    for (const load of loads.filter(({name}) => this.#options.only.includes(name))) {
      for (const [name, peer] of turn) {
        await this.#measure(round, load, name, peer, context);
        await sleep(200);
      }
    }
    for (const [name, peer] of running) this.#memory(round, name, peer);
  }

  async #measure(
    round: number,
    load: Load,
    name: string,
    peer: RunningPeer,
    context: LoadContext,
  ): Promise<void> {
    this.#signal.throwIfAborted();
    // Not every peer has a route for every load.
    if (load.route !== undefined && peer[load.route] === undefined) return;
    process.stderr.write(`round ${round + 1} of ${this.#options.rounds}: ${load.name} through ${name}\n`);
    try {
      await using scope = new Scope();
      const running = Promise.resolve(load.run(scope, peer, context));
      const {errors = 0, ...measured} =
        (await within(loadTimeoutMs, `result of ${load.name}`, running)) ?? {};
      this.#results.add(name, round, measured);
      if (errors > 0) this.#note(`${load.name} through ${name}: ${errors} failed`);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#failed = true;
      this.#note(`${load.name} through ${name} failed: ${error instanceof Error ? error.message : error}`);
    }
  }

  #memory(round: number, name: string, peer: RunningPeer): void {
    const routes = [peer.tcp, peer.https, peer.upload, peer.uploadTls, peer.echo, peer.grpc];
    const pids = routes.flatMap((route) =>
      route?.relayPid === undefined || route.agentPid === undefined ? [] : [route],
    ) as {relayPid: Pids; agentPid: Pids}[];
    if (pids.length === 0) return;
    const peak = (of: readonly Pids[]) => Math.max(...of.map((pid) => memoryMbOf(pid, 'VmHWM')));
    this.#results.add(name, round, {
      peakRelay: peak(pids.map(({relayPid}) => relayPid)),
      peakAgent: peak(pids.map(({agentPid}) => agentPid)),
    });
  }

  #bareCommands(): void {
    const time = (...words: string[]) => {
      const began = performance.now();
      spawnSync(process.execPath, words, {stdio: 'ignore'});
      return performance.now() - began;
    };
    for (let round = 0; round < 15; round++) {
      const bare = time('-e', '0');
      this.#results.add(bareNode, round, {version: bare, start: bare});
      if ([...this.#peers].some(({name}) => name === 'tunl'))
        this.#results.add('tunl', round, {version: time(program, '--version')});
    }
  }

  #versionLine(): string[] {
    const [bare, version] = [
      this.#results.median(bareNode, 'version'),
      this.#results.median('tunl', 'version'),
    ];
    if (bare === undefined) return [];
    const said = version === undefined ? '' : `, tunl --version: ${version.toFixed(0)} ms`;
    return [`exec to exit: ${bareNode}: ${bare.toFixed(0)} ms${said}`, ''];
  }

  #note(text: string): void {
    this.#notes.push(text);
    process.stderr.write(`${text}\n`);
  }
}

function git(...words: string[]): string {
  try {
    return execFileSync('git', words, {
      cwd: projectRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

function print(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** The first signal ends everything in order, the second at once. */
function interruption(): AbortController {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (interrupted.signal.aborted) process.exit(130);
      process.stderr.write(`${signal}: ending everything that was started\n`);
      interrupted.abort(new Error('interrupted'));
    });
  }
  return interrupted;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(usage);
    return 0;
  }
  const {signal} = interruption();
  await using scope = new Scope();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  return await Promise.race([new Bench(options, signal).run(scope), aborted]);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
// Programs of an interrupted start end with this process: see programs.ts.
process.exit();
