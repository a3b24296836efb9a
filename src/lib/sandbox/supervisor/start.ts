// Starts the process that owns a detached sandbox. It has a session of its own, so it outlives this process and its terminal.

import {type ChildProcess, spawn} from 'node:child_process';
import {open, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {TunlError} from '../../core/errors.js';
import {packageRoot} from '../../core/package-root.js';
import {readOptions, type SandboxOptions} from '../options.js';
import {RemoteSandbox} from '../remote.js';
import {SandboxRoster} from '../roster.js';
import {readMessage, type Supervised} from './messages.js';

const ENTRY = fileURLToPath(new URL('dist/bundle/sandbox/supervisor.js', packageRoot));
/** Its output: errors of the tunnels, and the crash message of Node. */
export const SUPERVISOR_LOG = 'supervisor.log';
/** It only has to load its code and to make a socket. */
const FIRST_MESSAGE_MS = 60_000;

/**
 * Resolves when the sandbox has its id, with the state `creating`: wait for `started`. Callbacks among the options are not
 * called.
 *
 * @param wanted its id, from `newSandboxId`. Default: a new one
 * @throws TunlError OPTION_INVALID, EGRESS_INVALID, STATE_DIR, SANDBOX_NAME_USED, SANDBOX_FAILED, ABORTED
 */
export async function startSupervisor(
  command: readonly string[],
  options: SandboxOptions = {},
  wanted?: string,
): Promise<RemoteSandbox> {
  // A mistake is told before anything is started.
  const {stateDir} = readOptions(command, options);
  const {signal, onEvent: _, log: __, ...plain} = options;
  const roster = new SandboxRoster(stateDir);
  const {id, folder} = await roster.makeFolder(wanted);
  const logPath = join(folder, SUPERVISOR_LOG);
  let started: Promise<void>;
  try {
    ({started} = await ask({id, command, options: {...plain, stateDir}}, logPath, signal));
  } catch (error) {
    // The log has the reason when there was no message.
    if (!(error instanceof TunlError) || error.code !== 'SANDBOX_FAILED')
      await rm(folder, {recursive: true, force: true});
    throw error;
  }
  try {
    return await RemoteSandbox.open(roster, await roster.find(id), started);
  } catch (error) {
    // It has ended already, and its owner has said why.
    await started;
    throw error;
  }
}

/** Resolves when the supervisor has its socket; `started` settles when the command runs, or does not. */
async function ask(
  spec: Supervised,
  logPath: string,
  signal: AbortSignal | undefined,
): Promise<{started: Promise<void>}> {
  signal?.throwIfAborted();
  const {child, messages} = await begin(logPath);
  const stop = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop);
  const timer = setTimeout(stop, FIRST_MESSAGE_MS);
  try {
    // It may die before it has read everything.
    child.stdin?.on('error', () => {}).end(JSON.stringify(spec));
    const message = await messages[0];
    if (signal?.aborted) throw new TunlError('ABORTED');
    readMessage(message, logPath);
  } catch (error) {
    letGo(child);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    child.stdin?.destroy();
  }
  // Until then the channel keeps this process alive: nothing else may do so, and its caller waits for the message.
  const started = messages[1].then((message) => {
    letGo(child);
    readMessage(message, logPath);
  });
  started.catch(() => {});
  return {started};
}

async function begin(logPath: string): Promise<{child: ChildProcess; messages: Messages}> {
  const log = await open(logPath, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [ENTRY], {
      detached: true,
      stdio: ['pipe', log.fd, log.fd, 'ipc'],
    });
    // The error of a process that cannot be started comes in the next turn.
    return {child, messages: messagesOf(child)};
  } finally {
    await log.close();
  }
}

/** Neither the supervisor nor the channel keeps this process alive any more. */
function letGo(child: ChildProcess): void {
  if (child.connected) child.disconnect();
  child.unref();
}

/** Undefined for one that does not come. */
type Messages = readonly [first: Promise<unknown>, second: Promise<unknown>];

function messagesOf(child: ChildProcess): Messages {
  const [first, second] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()];
  for (const each of [first, second]) each.promise.catch(() => {});
  let hasFirst = false;
  child.on('message', (message) => {
    (hasFirst ? second : first).resolve(message);
    hasFirst = true;
  });
  child.once('error', (cause) => {
    const reason = `${process.execPath} cannot be started.`;
    for (const each of [first, second]) each.reject(new TunlError('SANDBOX_FAILED', {reason, cause}));
  });
  child.once('exit', () => {
    for (const each of [first, second]) each.resolve(undefined);
  });
  return [first.promise, second.promise];
}
