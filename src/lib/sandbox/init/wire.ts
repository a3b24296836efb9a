// Everything that can be said between a host and the init of its sandbox, and between a host and those who use its control
// socket: the names of the services and their lines of JSON, with limits. All bytes are those of one session.
//
// `exec` carries a request, then `started` or `error`, then orders one way and one `exit` the other. The bytes of the process
// have streams of their own, each in one direction: `stdin`, `stdout` (or the terminal) and `stderr`, by the id in `started`.

import {constants} from 'node:os';
import {isErrorCode, systemCode, TunlError, toTunlError} from '../../core/errors.js';
import {
  asObject,
  type Fields,
  flag,
  MalformedMessage,
  maybe,
  parseJsonObject,
  prose,
  text,
  whole,
} from '../../protocol/fields.js';
import type {ExecRequest, ProcessEnd} from '../backend.js';

export const SERVICE = {
  exec: 'exec',
  stdin: 'stdin',
  stdout: 'stdout',
  stderr: 'stderr',
  dial: 'dial',
  file: 'file',
} as const;

export type OutputName = 'stdout' | 'stderr';

/** Bytes of one line. */
export const LINE = {
  /** A request: a command with its environment. Linux allows 128 KiB for one argument. */
  request: 256 * 1024,
  /** An order for a running process. */
  order: 4 * 1024,
  /** An answer. */
  answer: 16 * 1024,
} as const;

const MAX_ARGUMENTS = 4_096;
const MAX_VARIABLES = 4_096;
const MAX_PATH = 4_096;
const MAX_TERMINAL = 10_000;
const MAX_ERROR_TEXT = 1_000;
/** 24 days: Node's longest timer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The content of the OPEN of every stream. */
export interface ServiceOpen {
  service: string;
  /** The process of `stdin`, `stdout`, `stderr`. */
  exec?: string;
  /** The port of `dial`. */
  port?: number;
}

export function readServiceOpen(about: Buffer): ServiceOpen {
  const fields = parseJsonObject(about);
  return {
    service: text(fields, 'service', 40),
    ...maybe(fields, 'exec', text, 20),
    ...maybe(fields, 'port', whole, 1, 65_535),
  };
}

// ── exec ──

/** Throws MalformedMessage, as all readers here. */
export function readExecRequest(line: Buffer): ExecRequest {
  const fields = parseJsonObject(line);
  const command = list(fields, 'command', MAX_ARGUMENTS);
  if (command.length === 0 || command[0] === '') throw new MalformedMessage('command has no program');
  return {
    command,
    ...maybe(fields, 'env', readEnv),
    ...maybe(fields, 'workdir', plainText, MAX_PATH),
    ...maybe(fields, 'tty', readTty),
    ...maybe(fields, 'timeoutMs', whole, 1, MAX_TIMEOUT_MS),
  };
}

/** The first line of `exec`. */
export type ExecOpening =
  /** `keep`: the process goes on when its client has gone. */
  | {readonly request: ExecRequest; readonly keep: boolean}
  /** Joins a process that runs. */
  | {readonly attach: string};

export function readExecOpening(line: Buffer): ExecOpening {
  const fields = parseJsonObject(line);
  if (Object.hasOwn(fields, 'attach')) return {attach: text(fields, 'attach', 20)};
  return {request: readExecRequest(line), keep: flag(fields, 'keep')};
}

export function execOpening(opening: ExecOpening): object {
  return 'attach' in opening ? opening : {...opening.request, ...(opening.keep && {keep: true})};
}

function list(fields: Fields, name: string, maxCount: number): string[] {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!Array.isArray(value) || value.length > maxCount)
    throw new MalformedMessage(`${name} is not a short list`);
  return value.map((item: unknown) => plain(item, name));
}

/** A C string ends at its first zero, so what follows would be lost in silence. */
function plain(value: unknown, name: string): string {
  if (typeof value !== 'string' || value.includes('\0'))
    throw new MalformedMessage(`${name} has an item that is no plain text`);
  return value;
}

function plainText(fields: Fields, name: string, maxLength: number): string {
  return plain(text(fields, name, maxLength), name);
}

function readEnv(fields: Fields, name: string): Record<string, string> {
  const entries = Object.entries(asObject(fields[name], name));
  if (entries.length > MAX_VARIABLES) throw new MalformedMessage(`${name} has too many variables`);
  return Object.fromEntries(
    entries.map(([key, value]) => {
      if (key === '' || /[=\0]/.test(key)) throw new MalformedMessage(`${name} has a wrong name`);
      return [key, plain(value, name)];
    }),
  );
}

function readTty(fields: Fields, name: string): NonNullable<ExecRequest['tty']> {
  const tty = asObject(fields[name], name);
  return {
    columns: whole(tty, 'columns', 1, MAX_TERMINAL),
    rows: whole(tty, 'rows', 1, MAX_TERMINAL),
    term: plainText(tty, 'term', 100),
  };
}

export type ExecOrder = {signal: NodeJS.Signals} | {resize: {columns: number; rows: number}};

/** Undefined: an order of a newer version. */
export function readExecOrder(line: Buffer): ExecOrder | undefined {
  const fields = parseJsonObject(line);
  if (Object.hasOwn(fields, 'signal')) return {signal: signalName(fields, 'signal')};
  if (!Object.hasOwn(fields, 'resize')) return undefined;
  const resize = asObject(fields.resize, 'resize');
  return {
    resize: {
      columns: whole(resize, 'columns', 1, MAX_TERMINAL),
      rows: whole(resize, 'rows', 1, MAX_TERMINAL),
    },
  };
}

export type ExecAnswer = {started: string} | {error: TunlError} | {exit: ProcessEnd};

export function readExecAnswer(line: Buffer): ExecAnswer {
  const fields = parseJsonObject(line);
  if (Object.hasOwn(fields, 'started')) {
    const started = text(fields, 'started', 20);
    if (!/^ex_\d{1,15}$/.test(started)) throw new MalformedMessage('started is not an id');
    return {started};
  }
  if (Object.hasOwn(fields, 'error')) return {error: readError(fields)};
  return {exit: readEnd(fields)};
}

export function execExit({code, signal, timedOut}: ProcessEnd): object {
  return {exit: {code, signal, timedOut}};
}

function readEnd(fields: Fields): ProcessEnd {
  const exit = asObject(Object.hasOwn(fields, 'exit') ? fields.exit : undefined, 'exit');
  const hasSignal = Object.hasOwn(exit, 'signal');
  if (hasSignal === Object.hasOwn(exit, 'code'))
    throw new MalformedMessage('exit has not exactly one of code and signal');
  return {
    ...(hasSignal ? {signal: signalName(exit, 'signal')} : {code: whole(exit, 'code', 0, 255)}),
    ...(flag(exit, 'timedOut') && {timedOut: true}),
  };
}

function signalName(fields: Fields, name: string): NodeJS.Signals {
  const value = text(fields, name, 20);
  if (!Object.hasOwn(constants.signals, value)) throw new MalformedMessage(`${name} is not a signal`);
  return value as NodeJS.Signals;
}

// ── errors ──

/** The error of an answer. The text is for the owner of the sandbox, who must not trust it. */
export function errorLine(error: unknown): object {
  const {code, message, next, cause} = toTunlError(error);
  const system = systemCode(cause);
  return {
    error: {
      code,
      message: message.slice(0, MAX_ERROR_TEXT),
      next: next.slice(0, MAX_ERROR_TEXT),
      ...(system !== '' && {system: system.slice(0, 40)}),
    },
  };
}

export function readError(fields: Fields): TunlError {
  const error = asObject(fields.error, 'error');
  const code = text(error, 'code', 40);
  const next = maybe(error, 'next', prose, MAX_ERROR_TEXT);
  const {system} = maybe(error, 'system', text, 40);
  return new TunlError(isErrorCode(code) ? code : 'UNEXPECTED', {
    reason: prose(error, 'message', MAX_ERROR_TEXT),
    ...next,
    ...(system !== undefined &&
      /^E[A-Z0-9_]+$/.test(system) && {cause: Object.assign(new Error(system), {code: system})}),
  });
}

// ── ready ──

/** The control message of an init that can take requests. */
export function readReady(payload: Buffer): void {
  const fields = parseJsonObject(payload);
  if (text(fields, 'type', 20) !== 'ready') throw new MalformedMessage('type is not ready');
}
