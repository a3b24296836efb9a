// Runs one load through tunl under V8's profiler and prints how relay and agent used the CPU meanwhile.

import {mkdirSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {Scope} from '../test/helpers/scope.js';
import {breakdown, type CpuProfile, monotonicMicros} from './cpu-profile.js';
import {type Load, loads} from './loads/loads.js';
import {cpuTimeOf} from './machine/proc.js';
import {cacheFolder, Tools} from './machine/tools.js';
import type {Peer} from './peers/peer.js';
import {tunlUnderNode} from './peers/tunl.js';
import {tunlNetUnderNode} from './peers/tunl-ways.js';
import {isService} from './services.js';
import {startUpstream} from './upstream.js';

const profiled = loads.filter(({name}) => name !== 'start').map(({name}) => name);

const peers: Readonly<Record<string, (...nodeWords: string[]) => Peer>> = {
  tunl: tunlUnderNode,
  'tunl-net': (...words) => tunlNetUnderNode('tunl-net', ...words),
  'tunl-net-plain': (...words) => tunlNetUnderNode('tunl-net-plain', ...words),
  'tunl-net-direct': (...words) => tunlNetUnderNode('tunl-net-direct', ...words),
  'tunl-net-machine': (...words) => tunlNetUnderNode('tunl-net-machine', ...words),
};

const usage = `node bench/profile.js LOAD [--seconds 4] [--size 1024] [--top 25] [--interval 250] [--peer tunl]

  LOAD        ${profiled.join(', ')}
  --seconds   of a load that is not a number of bytes
  --size      MiB of a bulk transfer
  --top       functions to show for each process
  --interval  microseconds between two samples
  --peer      ${Object.keys(peers).join(', ')}
`;

interface Options {
  load: Load;
  seconds: number;
  sizeMib: number;
  top: number;
  intervalMicros: number;
  peer: (...nodeWords: string[]) => Peer;
}

function readOptions(): Options | 'help' | undefined {
  const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      seconds: {type: 'string', default: '4'},
      size: {type: 'string', default: '1024'},
      top: {type: 'string', default: '25'},
      interval: {type: 'string', default: '250'},
      peer: {type: 'string', default: 'tunl'},
    },
  });
  const load = loads.find(({name}) => name === positionals[0] && profiled.includes(name));
  if (values.help) return 'help';
  const peer = Object.hasOwn(peers, values.peer) ? peers[values.peer] : undefined;
  if (load === undefined || peer === undefined) return undefined;
  const positive = (flag: 'seconds' | 'size' | 'top' | 'interval'): number => {
    if (!/^[1-9]\d{0,5}$/.test(values[flag]))
      throw new Error(`--${flag} ${values[flag]}: a whole number from 1`);
    return Number(values[flag]);
  };
  return {
    load,
    peer,
    seconds: positive('seconds'),
    sizeMib: positive('size'),
    top: positive('top'),
    intervalMicros: positive('interval'),
  };
}

interface Watched {
  role: string;
  pid: number;
  cpuSeconds: number;
}

/** Runs the load; each process writes its profile when it ends. */
async function measure(
  options: Options,
  folder: string,
  signal: AbortSignal,
): Promise<[Watched[], number, number]> {
  const {load, seconds, sizeMib, intervalMicros} = options;
  await using scope = new Scope();
  const tools = new Tools();
  const services = [load.route ?? ''].filter(isService);
  const upstream = await startUpstream(scope, tools, sizeMib * 2 ** 20, {services});
  const context = {tools, upstream, seconds, signal};
  const words = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${intervalMicros}`];
  const peer = await options.peer(...words).start(scope, context);
  const {relayPid, agentPid} = peer[load.route ?? 'tcp'] ?? {};
  if (typeof relayPid !== 'number' || agentPid === undefined) throw new Error('tunl told no process ids');
  const agents = typeof agentPid === 'number' ? [agentPid] : agentPid;
  const watched = [
    {role: 'relay', pid: relayPid},
    ...agents.map((pid, n) => ({role: agents.length === 1 ? 'agent' : `member ${n + 1}`, pid})),
  ];
  // Once without measuring: the first run includes compilation.
  await load.run(scope, peer, {...context, seconds: 1});
  const cpu = () =>
    watched.map(({pid}) => {
      const {user, system} = cpuTimeOf(pid);
      return user + system;
    });
  const before = cpu();
  const from = monotonicMicros();
  const result = await load.run(scope, peer, context);
  const to = monotonicMicros();
  const used = cpu().map((now, n) => now - (before[n] ?? 0));
  print(
    `${load.name}: ${JSON.stringify(result, (_, value) => (typeof value === 'number' ? round(value) : value))}`,
  );
  return [watched.map((each, n) => ({...each, cpuSeconds: used[n] ?? 0})), from, to];
}

function show({role, pid, cpuSeconds}: Watched, folder: string, from: number, to: number, top: number): void {
  const file = readdirSync(folder).find((name) => name.split('.').includes(String(pid)));
  if (file === undefined) throw new Error(`the ${role} wrote no profile: it did not end in order`);
  const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
  const {elapsedMs, idleMs, functions, origins} = breakdown(profile, from, to);
  const busyMs = elapsedMs - idleMs;
  const percent = (time: number) => `${((100 * time) / busyMs).toFixed(1)} %`.padStart(7);
  const ms = (milliseconds: number) => milliseconds.toFixed(0).padStart(6);
  print(
    '',
    `${role}: main thread busy ${((100 * busyMs) / elapsedMs).toFixed(0)} % of ${(elapsedMs / 1000).toFixed(1)} s; ` +
      `CPU of all threads ${cpuSeconds.toFixed(2)} s`,
    ...[...origins].slice(0, 12).map(([origin, time]) => `${ms(time)} ms ${percent(time)}  ${origin}`),
    '',
    '  self ms      of busy   with callees  function',
    ...functions
      .slice(0, top)
      .map(
        ({name, place, selfMs, totalMs}) =>
          `${ms(selfMs).padStart(9)}  ${percent(selfMs).padStart(11)}  ${percent(totalMs).padStart(13)}  ${name}  ${place}`,
      ),
    `  ${join(folder, file)}`,
  );
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

function print(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  if (options === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (interrupted.signal.aborted) process.exit(130);
      interrupted.abort(new Error('interrupted'));
    });
  }
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  const folder = join(cacheFolder, 'profiles', `${stamp}-${options.load.name}`);
  mkdirSync(folder, {recursive: true});
  const [watched, from, to] = await measure(options, folder, interrupted.signal);
  for (const each of watched) show(each, folder, from, to, options.top);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
process.exit();
