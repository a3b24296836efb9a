// The host's side of a sandbox's init: a session over the socket that the init inherited.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {openLocalSession} from '../../carrier/local-session.js';
import type {Clock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import {MalformedMessage} from '../../protocol/fields.js';
import type {ExecRequest, SandboxFiles, SandboxProcess} from '../backend.js';
import {StreamsClient} from './client.js';
import type {MoreFiles} from './serve-file.js';
import {readReady} from './wire.js';

export interface ConnectInitOptions {
  clock?: Clock;
  /** An init that is silent for this long is lost, ms. Default 30,000. */
  silenceMs?: number;
}

export interface InitClient {
  /** Resolves when the init takes requests. Rejects with SANDBOX_FAILED when it is lost before. Never unhandled. */
  readonly ready: Promise<void>;
  /** Resolves when the session is over, with the reason. Everything that was pending has been settled. Never rejects. */
  readonly lost: Promise<string>;
  readonly files: SandboxFiles & MoreFiles;
  /** Starts a program with its own process group. @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED, OPTION_INVALID */
  exec(request: ExecRequest): Promise<SandboxProcess>;
  /** 127.0.0.1, else ::1, inside. @throws an Error with the code of the system; TunlError SANDBOX_ENDED */
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  /** To every process that was started by `exec` and still runs, with its group. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the session; the init kills its processes and ends. Idempotent. */
  close(): void;
}

/** @param socket the host's end of the socketpair. It is owned from now on. */
export function connectInit(socket: Socket, {clock, silenceMs}: ConnectInitOptions = {}): InitClient {
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  const {promise: lost, resolve: lose} = Promise.withResolvers<string>();
  let isReady = false;
  const session = openLocalSession({
    socket,
    role: 'relay',
    clock,
    silenceMs,
    sink: {
      onOpen: () => session.onViolation('the init opens a stream'),
      onControl: (payload) => {
        try {
          if (isReady) throw new MalformedMessage('a second control message');
          readReady(payload);
        } catch (error) {
          if (!(error instanceof MalformedMessage)) throw error;
          session.onViolation(`the init: ${error.message}`);
          return;
        }
        isReady = true;
        ready.resolve();
      },
      onEnded: (error) => {
        const cause = error?.cause instanceof Error ? error.cause : error;
        const reason = cause?.message ?? 'closed';
        ready.reject(
          new TunlError('SANDBOX_FAILED', {reason: `The sandbox’s init is lost: ${reason}`, cause: error}),
        );
        lose(reason);
      },
    },
  });
  const client = new StreamsClient({session, clock});
  return {
    ready: ready.promise,
    lost,
    files: client.files,
    exec: (request) => client.exec(request),
    dial: (port, signal) => client.dial(port, signal),
    signal: (signal) => client.signal(signal),
    close: () => session.close(),
  };
}
