// `npm run bench:launch`: how much later `tunl` prints its address than the program alone answers.
//
// Both ways alternate, with the same program, arguments and environment. The program alone is checked every 2 ms. Its
// preparation (sshd's configuration) does not count, and neither does finding it.

import {spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdirSync, writeFileSync} from 'node:fs';
import {loadavg} from 'node:os';
import {delimiter, dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {find} from '../src/lib/launch/find.js';
import {freePort} from '../src/lib/launch/ports.js';
import type {NamedSite, Program} from '../src/lib/launch/program.js';
import {codeServer} from '../src/lib/launch/programs/code-server.js';
import {command} from '../src/lib/launch/programs/command.js';
import {jupyter} from '../src/lib/launch/programs/jupyter.js';
import {sshd} from '../src/lib/launch/programs/sshd.js';
import {terminal} from '../src/lib/launch/programs/terminal.js';
import {ask} from '../src/lib/launch/ready.js';
import {keysFromFile} from '../src/lib/launch/ssh/key-sources.js';
import {Scope} from '../test/helpers/scope.js';
import {endAtSignals} from './machine/interruption.js';
import {run, start, within} from './machine/programs.js';
import {projectRoot} from './machine/tools.js';
import {startTunlRelay, program as tunl} from './peers/tunl-relay.js';
import {report} from './report-line.js';
import {median} from './results.js';

const GOAL_MS = 300;
const TIMEOUT_MS = 60_000;

/** One line of the table: the program's description, and the arguments with which `tunl` starts it. */
interface Case {
  name: string;
  program: Program;
  words: readonly string[];
}

interface Place {
  /** The folder to show, the state folder and the home of both ways. */
  folder: string;
  env: Record<string, string>;
  keyFile: string;
}

const usage = `npm run bench:launch -- [--rounds 7] [--only NAME,…]

  --rounds   how often each is started, in turns (7)
  --only     jupyter, ssh, code-server, terminal, http.server, vite
`;

async function cases({folder, keyFile}: Place): Promise<Case[]> {
  const password = randomBytes(16).toString('hex');
  const {keys} = await keysFromFile(keyFile);
  const vite = ['vite', '--port', '{port}', '--strictPort'] as const;
  const http = ['python3', '-m', 'http.server', '--bind', '127.0.0.1', '{port}'] as const;
  return [
    {name: 'jupyter', program: jupyter({token: password, dir: folder}), words: ['jupyter', '--dir', folder]},
    {name: 'ssh', program: await sshd({keys, stateDir: folder}), words: ['ssh', '--key', keyFile]},
    {name: 'code-server', program: codeServer({password, dir: folder}), words: ['code-server', folder]},
    {name: 'terminal', program: terminal({password}), words: ['terminal']},
    {
      name: 'http.server',
      program: command({argv: http, portGiven: false}),
      words: ['expose', '--', ...http],
    },
    {name: 'vite', program: command({argv: vite, portGiven: false}), words: ['expose', '--', ...vite]},
  ];
}

/** From the start of the program until it answers, ms. */
async function alone(program: Program, place: Place): Promise<number> {
  await using scope = new Scope();
  const site: NamedSite = {
    public: {host: 'name.r1.example.test', port: 443, url: 'https://name.r1.example.test'},
    port: await freePort(),
    folder: await scope.tempDir('bench-run'),
    found: await find(program, place.env),
    env: place.env,
    uid: process.getuid?.() ?? -1,
  };
  const prepared = await program.prepare?.(site);
  const plan = program.start(site);
  const env = Object.entries({...place.env, ...plan.env}).filter(([, value]) => value !== undefined);
  const began = performance.now();
  const child = spawn(site.found.bin, [...site.found.lead, ...plan.args], {
    env: Object.fromEntries(env),
    cwd: plan.cwd ?? place.folder,
    detached: true,
    stdio: [plan.stdin === 'open' ? 'pipe' : 'ignore', 'ignore', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  scope.onEnd(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await gone;
    await prepared?.close();
  });
  while (child.exitCode === null && performance.now() - began < TIMEOUT_MS) {
    const places = ['127.0.0.1', ...(program.anyLoopback ? ['::1'] : [])];
    const answers = await Promise.all(
      places.map((host) => ask(program.ready(site), {host, port: site.port})),
    );
    if (answers.some(({kind}) => kind === 'ready')) return performance.now() - began;
    await sleep(2);
  }
  throw new Error(`${program.name} alone did not answer`);
}

/** From the start of `tunl` until the address is on its stdout, ms. */
async function behind(words: readonly string[], place: Place): Promise<number> {
  await using scope = new Scope();
  const began = performance.now();
  const child = start(scope, process.execPath, [tunl, ...words], {env: place.env, cwd: place.folder});
  await within(TIMEOUT_MS, `address from tunl ${words[0]}`, child.line());
  return performance.now() - began;
}

async function prepare(scope: Scope, relay: Record<string, string>): Promise<Place> {
  const folder = await scope.tempDir('bench-launch');
  const keyFile = join(folder, 'key.pub');
  await run(scope, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')], {
    timeoutMs: 10_000,
    signal: scope.signal,
  });
  const site = join(folder, 'site');
  mkdirSync(site);
  writeFileSync(join(site, 'index.html'), '<p>page</p>');
  const path = [
    dirname(process.execPath),
    ...['.cache/jupyter/bin', '.cache/code-server/node_modules/.bin', '.cache/bin', 'node_modules/.bin'].map(
      (bin) => join(projectRoot, bin),
    ),
    ...['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'],
  ];
  const env = {PATH: path.join(delimiter), HOME: folder, LANG: 'C.UTF-8', TUNL_STATE_DIR: folder, ...relay};
  return {folder: site, env, keyFile};
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      rounds: {type: 'string', default: '7'},
      only: {type: 'string'},
    },
  });
  if (values.help) return void process.stdout.write(usage);
  await using scope = new Scope();
  endAtSignals(scope);
  const {env} = await startTunlRelay(scope);
  const place = await prepare(scope, env);
  const only = values.only?.split(',');
  process.stdout.write(`load average before: ${loadavg()[0]?.toFixed(1)}; medians of ${values.rounds}, ms\n`);
  for (const {name, program, words} of await cases(place)) {
    if (only !== undefined && !only.includes(name)) continue;
    const times = {alone: [] as number[], tunl: [] as number[]};
    // The first run of each fills the system's caches.
    for (let round = -1; round < Number(values.rounds); round++) {
      const [one, other] = [await alone(program, place), await behind(words, place)];
      if (round < 0) continue;
      times.alone.push(one);
      times.tunl.push(other);
    }
    const later = median(times.tunl.map((value, i) => value - (times.alone[i] ?? 0))) ?? 0;
    const facts = {alone: median(times.alone) ?? 0, tunl: median(times.tunl) ?? 0};
    report(`launch ${name}, ms later`, later, {atMost: GOAL_MS}, facts);
  }
}

await main();
