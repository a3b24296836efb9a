// Asks a relay that runs on this machine, over its admin socket.

import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {askControlSocket, type ControlAnswer} from '../../core/control-socket.js';
import {TunlError} from '../../core/errors.js';
import {checkState} from '../../core/state-trust.js';
import {ADMIN_FOLDER} from './admin-folder.js';

/** A relay with very many sessions. */
const MOST_BYTES = 64 * 1024 * 1024;
const WHO_MS = 2_000;
const ANSWER_MS = 20_000;

export interface RelayHere {
  readonly socket: string;
  readonly pid: number;
  readonly domain: string;
  readonly url: string;
  readonly draining: boolean;
}

/** The relays with this state folder that answer. @throws TunlError STATE_DIR */
export async function relaysHere(stateDir: string): Promise<RelayHere[]> {
  await checkState(stateDir, ADMIN_FOLDER);
  const folder = join(stateDir, ADMIN_FOLDER);
  const names = await readdir(folder).catch(() => []);
  const asked = names
    .filter((name) => name.endsWith('.sock'))
    .map(async (socket) => readWho(socket, await ask(folder, socket, {do: 'who'}, WHO_MS)));
  return (await Promise.all(asked)).filter((relay) => relay !== undefined);
}

/**
 * @param pid of the relay that is meant. Default: the only one. Relays that end are not meant, because the next one already runs.
 * @throws TunlError RELAY_NOT_RUNNING, RELAYS_SEVERAL, STATE_DIR, and the errors of the action
 */
export async function askRelay(
  stateDir: string,
  request: {do: string; words?: readonly string[]},
  pid?: number,
): Promise<ControlAnswer> {
  const all = await relaysHere(stateDir);
  const {socket} = choose(all, stateDir, pid);
  const answer = await ask(join(stateDir, ADMIN_FOLDER), socket, request, ANSWER_MS);
  if (answer !== undefined) return answer;
  throw new TunlError('RELAY_NOT_RUNNING', {
    reason: `The relay does not answer \`${request.do}\`.`,
    next: 'It may have ended meanwhile, hang, or be of another version.',
  });
}

function choose(all: readonly RelayHere[], stateDir: string, pid: number | undefined): RelayHere {
  const meant = pid === undefined ? all : all.filter((relay) => relay.pid === pid);
  const lasting = meant.filter(({draining}) => !draining);
  const [first, second] = lasting.length > 0 ? lasting : meant;
  if (first === undefined) {
    const which = pid === undefined ? 'No relay' : `No relay with the process ${pid}`;
    throw new TunlError('RELAY_NOT_RUNNING', {reason: `${which} answers in ${stateDir}.`});
  }
  if (second !== undefined) {
    const list = meant.map((relay) => `${relay.pid} (${relay.url})`).join(', ');
    throw new TunlError('RELAYS_SEVERAL', {reason: `Several relays run with ${stateDir}: ${list}.`});
  }
  return first;
}

/** Undefined: there is no answer. A socket that was left behind refuses. */
function ask(
  folder: string,
  socket: string,
  request: object,
  timeoutMs: number,
): Promise<ControlAnswer | undefined> {
  return askControlSocket(folder, socket, request, {timeoutMs, mostBytes: MOST_BYTES});
}

function readWho(socket: string, answer: ControlAnswer | undefined): RelayHere | undefined {
  const {pid, domain, url, draining} = (answer ?? {}) as Record<string, unknown>;
  if (typeof pid !== 'number' || typeof domain !== 'string') return undefined;
  return {socket, pid, domain, url: typeof url === 'string' ? url : domain, draining: draining === true};
}
