// Podman has no daemon, and its API socket is often not enabled. Then a service of our own answers, in a folder that only this
// user may enter. It ends with its last user; should this process be killed, it ends some seconds after its last connection.

import {type ChildProcess, spawn} from 'node:child_process';
import {rmSync} from 'node:fs';
import {mkdtemp, readdir, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as wait} from 'node:timers/promises';
import {childEnv} from '../../core/child-env.js';
import {TunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import {EngineApi} from './api.js';
import {kindOf} from './find-socket.js';

const PREFIX = 'tunl-engine-';
const START_MS = 15_000;
/** The service's own end when it has no connection, seconds. */
const IDLE_SECONDS = 20;
const LAST_WORDS_BYTES = 2_000;

export interface OwnService {
  readonly api: EngineApi;
  readonly isRunning: boolean;
  stop(): Promise<void>;
}

/** @param runtime '' for podman's own choice. @throws TunlError SANDBOX_BACKEND */
export async function startService(runtime: string): Promise<OwnService> {
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const api = new EngineApi(join(folder, 'podman.sock'));
  const {child, ended} = startPodman(folder, [
    ...(runtime === '' ? [] : ['--runtime', runtime]),
    'system',
    'service',
    '--time',
    String(IDLE_SECONDS),
    `unix://${api.socketPath}`,
  ]);
  let isRunning = true;
  // The end of this process does not wait for a service that nobody uses.
  const atExit = () => {
    child.kill('SIGTERM');
    rmSync(folder, {recursive: true, force: true});
  };
  process.once('exit', atExit);
  void ended.then(() => {
    isRunning = false;
    process.off('exit', atExit);
  });
  const stop = async () => {
    child.ref();
    if (isRunning) child.kill('SIGTERM');
    await ended;
    await rm(folder, {recursive: true, force: true});
  };
  const giveUp = Date.now() + START_MS;
  while (!(await answers(api))) {
    if (!isRunning || Date.now() > giveUp) {
      await stop();
      throw new TunlError('SANDBOX_BACKEND', {
        reason: `podman does not start its service: ${printable(await ended) || 'it does not answer'}`,
        next: 'Run `podman info`, and mend what it says.',
      });
    }
    await Promise.race([ended, wait(10)]);
  }
  return {
    api,
    get isRunning() {
      return isRunning;
    },
    stop,
  };
}

/** `ended` resolves to the last words, and never rejects. */
function startPodman(folder: string, args: readonly string[]): {child: ChildProcess; ended: Promise<string>} {
  const child = spawn('podman', args, {
    // An interrupt from the terminal is for tunl, which still needs the service to clean up.
    detached: true,
    // The monitors of containers inherit it, and leave a file there when memory is used up.
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: localEnv(),
  });
  let words = '';
  child.stderr?.on('data', (text: Buffer) => {
    words = (words + text.toString('utf8')).slice(-LAST_WORDS_BYTES);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', () => resolve(words));
  });
  child.unref();
  return {child, ended};
}

/** With these variables, even empty ones, podman is a client of another service. */
function localEnv(): NodeJS.ProcessEnv {
  const {CONTAINER_HOST, CONTAINER_CONNECTION, ...env} = childEnv();
  return env;
}

async function answers(api: EngineApi): Promise<boolean> {
  return kindOf(api).then(
    () => true,
    () => false,
  );
}

/** Folders of processes that were killed. */
export async function sweepServiceFolders(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    if (!(pid > 0) || isAlive(pid)) continue;
    const folder = join(tmpdir(), name);
    const owner = await stat(folder).catch(() => undefined);
    if (owner?.uid === process.getuid?.()) await rm(folder, {recursive: true, force: true}).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
