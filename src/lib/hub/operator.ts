// The hub's door for its operator: the same API at a socket that only this user can reach, for `tunl hub ps` and the like.

import {once} from 'node:events';
import {readdir, rm} from 'node:fs/promises';
import type {ClientRequest, IncomingMessage, Server} from 'node:http';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {withLock} from '../core/file-lock.js';
import {request} from '../core/node-http.js';
import {listenPrivately, type Place, placeOf} from '../core/private-socket.js';
import {openStateDir} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import {unlimitedPrincipal} from '../relay/access/principal.js';
import type {Caller} from './api/callers.js';

const FOLDER = ['hub', 'run'] as const;
const SOCKET = 'operator.sock';
const LOCK = 'starting.lock';

/** Everybody who reaches the operator's socket. */
export const OPERATOR: Caller = {
  user: {id: 'operator', name: 'operator', quota: 0, createdAt: '', number: -1},
  isAdmin: true,
  principal: unlimitedPrincipal('operator'),
};

/** The places of a hub's sockets. `release` frees what they need. */
export interface HubSockets {
  /** For its tunnel. */
  readonly visitors: Place;
  readonly operator: Place;
}

/**
 * Takes the state folder: from now on `server` listens there for the operator. Of several hubs that start at the same moment
 * one gets it.
 *
 * @throws TunlError STATE_DIR; HUB_RUNS when another hub has the state folder
 */
export async function takeSockets(stateDir: string, server: Server): Promise<HubSockets> {
  const folder = await openStateDir(stateDir, ...FOLDER);
  const operator = placeIn(folder, SOCKET);
  try {
    await withLock(join(folder, LOCK), async () => {
      const names = await readdir(folder);
      if (names.includes(SOCKET) && (await answers(operator.path))) throw new TunlError('HUB_RUNS');
      // Those of hubs that were killed.
      for (const name of names) if (name.endsWith('.sock')) await rm(join(folder, name), {force: true});
      await listenPrivately(server, operator.path);
    });
  } catch (error) {
    operator.release();
    throw error;
  }
  return {operator, visitors: placeIn(folder, `${process.pid}.sock`)};
}

function placeIn(folder: string, name: string): Place {
  const place = placeOf(folder, name);
  if (place !== undefined) return place;
  throw new TunlError('STATE_DIR', {reason: `The path ${folder} is too long for a socket.`});
}

async function answers(path: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(2_000);
    const response = await responseOf(request({socketPath: path, path: '/healthz', signal}).end());
    response.resume();
    return true;
  } catch (error) {
    // A hub that is stopped, or too busy, still has it.
    return systemCode(error) === 'ABORT_ERR' || systemCode(error) === 'EAGAIN';
  }
}

/** One request to the hub that runs with this state folder. @throws TunlError HUB_AWAY, or the hub's own refusal */
export async function askHub(
  stateDir: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  {body, signal}: {body?: unknown; signal?: AbortSignal | undefined} = {},
): Promise<IncomingMessage> {
  await checkState(stateDir, ...FOLDER).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
  });
  const text = body === undefined ? undefined : JSON.stringify(body);
  const place = placeOf(join(stateDir, ...FOLDER), SOCKET);
  if (place === undefined) throw new TunlError('HUB_AWAY');
  const asked = request({
    socketPath: place.path,
    method,
    path,
    headers: {
      accept: 'application/json',
      ...(text !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      }),
    },
    ...(signal !== undefined && {signal}),
  });
  asked.end(text);
  let response: IncomingMessage;
  try {
    response = await responseOf(asked);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new TunlError('HUB_AWAY', {cause: error});
  } finally {
    place.release();
  }
  if ((response.statusCode ?? 500) < 400) return response;
  throw refusalOf(await textOf(response));
}

export async function askHubJson<T>(
  stateDir: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  return JSON.parse(await textOf(await askHub(stateDir, method, path, {body}))) as T;
}

function refusalOf(text: string): TunlError {
  const {code, detail, next} = JSON.parse(text) as {code: string; detail: string; next?: string};
  const known = code as ConstructorParameters<typeof TunlError>[0];
  return new TunlError(known, {reason: detail, ...(next !== undefined && {next})});
}

async function responseOf(asked: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
