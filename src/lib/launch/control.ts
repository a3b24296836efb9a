// The control socket of a process in the background: its requests.

import {
  askControlSocket,
  type Control,
  type ControlAnswer,
  serveControlSocket,
} from '../core/control-socket.js';

export type ControlRequest =
  | {do: 'status'}
  /** The new end is so long from now. */
  | {do: 'extend'; expiresMs: number}
  /** Like Ctrl+C; `reason` is recorded with the end. */
  | {do: 'stop'; reason?: string}
  /** A target in the syntax of the command line; a path in it is absolute. */
  | {do: 'add'; name: string; subdomain?: string; target: string; tcp: boolean}
  /** Without a time, that of the command applies. */
  | {do: 'remove'; name: string; drainTimeoutMs?: number}
  /** A further link to a private tunnel; `tunnel` as for `remove`. */
  | {do: 'share'; tunnel: string; expiresMs?: number; once?: boolean; visitor?: string}
  /** New rules about visitors' addresses, in place of all earlier ones. */
  | {do: 'access'; tunnel: string; allow: readonly string[]; deny: readonly string[]}
  /** The links of one tunnel, or of all. */
  | {do: 'share-list'; tunnel?: string}
  | {do: 'share-revoke'; link: string};

/**
 * Undefined for a request that this process does not support. A thrown error becomes the answer.
 *
 * @param gone aborts when nobody waits for the answer any more
 */
export type Answer = (
  request: ControlRequest,
  gone: AbortSignal,
) => ControlAnswer | undefined | Promise<ControlAnswer | undefined>;

const MAX_REASON_CHARS = 200;
/** A tunnel may have a thousand links. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** A hundred years; a longer time would overflow a date. */
const MAX_EXPIRES_MS = 100 * 365 * 86_400_000;

/** Undefined when no socket is possible: everything but the status also works with signals. */
export function serveControl(folder: string, name: string, answer: Answer): Promise<Control | undefined> {
  return serveControlSocket(folder, name, {read: readRequest, answer});
}

/**
 * Undefined: there is no answer within the time.
 *
 * @throws TunlError the error that the process answers; STATE_DIR when the socket belongs to another user
 */
export function askControl(
  folder: string,
  name: string,
  request: ControlRequest,
  timeoutMs: number,
): Promise<ControlAnswer | undefined> {
  return askControlSocket(folder, name, request, {timeoutMs, mostBytes: MAX_ANSWER_BYTES});
}

function readRequest(value: unknown): ControlRequest | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const {do: what, expiresMs, reason} = value as Record<string, unknown>;
  if (what === 'status') return {do: what};
  if (what === 'extend') {
    const isTime = typeof expiresMs === 'number' && expiresMs > 0 && expiresMs <= MAX_EXPIRES_MS;
    return isTime ? {do: what, expiresMs} : undefined;
  }
  if (what === 'add') return readAdd(value as Record<string, unknown>);
  if (what === 'remove') return readRemove(value as Record<string, unknown>);
  if (what === 'share') return readShare(value as Record<string, unknown>);
  if (what === 'access') return readAccess(value as Record<string, unknown>);
  if (what === 'share-list') return readShareList(value as Record<string, unknown>);
  if (what === 'share-revoke') return readShareRevoke(value as Record<string, unknown>);
  if (what !== 'stop') return undefined;
  return typeof reason === 'string' ? {do: what, reason: reason.slice(0, MAX_REASON_CHARS)} : {do: what};
}

function readAdd({name, subdomain, target, tcp}: Record<string, unknown>): ControlRequest | undefined {
  if (!isWord(name) || !isWord(target) || typeof tcp !== 'boolean') return undefined;
  if (subdomain !== undefined && !isWord(subdomain)) return undefined;
  return {do: 'add', name, target, tcp, ...(subdomain !== undefined && {subdomain})};
}

function readRemove({name, drainTimeoutMs}: Record<string, unknown>): ControlRequest | undefined {
  if (!isWord(name)) return undefined;
  if (drainTimeoutMs === undefined) return {do: 'remove', name};
  const isTime =
    typeof drainTimeoutMs === 'number' && drainTimeoutMs >= 0 && drainTimeoutMs <= MAX_EXPIRES_MS;
  return isTime ? {do: 'remove', name, drainTimeoutMs} : undefined;
}

function readShare(value: Record<string, unknown>): ControlRequest | undefined {
  const {tunnel, expiresMs, once, visitor} = value;
  if (!isWord(tunnel)) return undefined;
  const isTime =
    expiresMs === undefined ||
    (typeof expiresMs === 'number' && expiresMs > 0 && expiresMs <= MAX_EXPIRES_MS);
  if (!isTime || !(once === undefined || typeof once === 'boolean')) return undefined;
  if (visitor !== undefined && !isWord(visitor)) return undefined;
  return {
    do: 'share',
    tunnel,
    ...(expiresMs !== undefined && {expiresMs}),
    ...(once !== undefined && {once}),
    ...(visitor !== undefined && {visitor}),
  };
}

function readAccess({tunnel, allow, deny}: Record<string, unknown>): ControlRequest | undefined {
  if (!isWord(tunnel) || !isWords(allow) || !isWords(deny)) return undefined;
  return {do: 'access', tunnel, allow, deny};
}

function readShareList({tunnel}: Record<string, unknown>): ControlRequest | undefined {
  if (tunnel === undefined) return {do: 'share-list'};
  return isWord(tunnel) ? {do: 'share-list', tunnel} : undefined;
}

function readShareRevoke({link}: Record<string, unknown>): ControlRequest | undefined {
  return isWord(link) ? {do: 'share-revoke', link} : undefined;
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isWord);
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
