// The hub's door for its operator: the same API at a socket that only this user can reach, for `tunl hub ps` and the like.

import {once} from 'node:events';
import {readdir, rm} from 'node:fs/promises';
import type {ClientRequest, IncomingMessage} from 'node:http';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {request} from '../core/node-http.js';
import {openStateDir} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import {unlimitedPrincipal} from '../relay/access/principal.js';
import type {Caller} from './api/callers.js';

const FOLDER = ['hub', 'run'] as const;
const SOCKET = 'operator.sock';

/** Everybody who reaches the operator's socket. */
export const OPERATOR: Caller = {
  user: {id: 'operator', name: 'operator', quota: 0, createdAt: '', number: -1},
  isAdmin: true,
  principal: unlimitedPrincipal('operator'),
};

/** @throws TunlError STATE_DIR; HUB_RUNS when another hub has the state folder */
export async function operatorSocket(stateDir: string): Promise<string> {
  const folder = await openStateDir(stateDir, ...FOLDER);
  const path = join(folder, SOCKET);
  const names = await readdir(folder);
  if (names.includes(SOCKET)) {
    if (await answers(path)) throw new TunlError('HUB_RUNS');
    await rm(path, {force: true});
  }
  return path;
}

async function answers(path: string): Promise<boolean> {
  try {
    const response = await responseOf(request({socketPath: path, path: '/healthz', timeout: 2_000}).end());
    response.resume();
    return true;
  } catch (error) {
    // A hub that is stopped, or too busy, still has it.
    return systemCode(error) === 'ETIMEDOUT' || systemCode(error) === 'EAGAIN';
  }
}

export interface OperatorAnswer {
  readonly status: number;
  readonly response: IncomingMessage;
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
  const asked = request({
    socketPath: join(stateDir, ...FOLDER, SOCKET),
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
