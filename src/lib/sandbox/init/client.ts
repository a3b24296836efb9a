// The using half of a local session: processes, connections and files of the other side. It believes nothing that the other side
// says: everything is bounded, and what cannot be read ends the session, never the process.

import type {Duplex} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import {type Clock, systemClock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import type {Session} from '../../mux/session.js';
import type {Stream} from '../../mux/stream.js';
import {KIND, type StreamCode} from '../../protocol/wire.js';
import type {ExecRequest, SandboxProcess} from '../backend.js';
import {startProcess} from './client-exec.js';
import {FilesClient} from './client-files.js';
import {ended} from './ended.js';
import {type ExecOpening, SERVICE, type ServiceOpen} from './wire.js';

/** A dial inside that is not answered for this long has failed, ms. */
const DIAL_TIMEOUT_MS = 10_000;

export interface StreamsClientOptions {
  session: Session;
  clock?: Clock | undefined;
}

export class StreamsClient {
  readonly session: Session;
  readonly files: FilesClient;
  readonly #clock: Clock;
  /** Ids of processes that run. */
  readonly #processes = new Map<string, SandboxProcess>();

  constructor({session, clock = systemClock}: StreamsClientOptions) {
    this.session = session;
    this.#clock = clock;
    this.files = new FilesClient(this, clock);
  }

  /** Opens a stream of a service. @throws TunlError SANDBOX_ENDED, or SANDBOX_SILENT when too many streams are open. */
  open(open: ServiceOpen): Stream {
    const stream = this.session.open(KIND.service, open);
    if (stream !== undefined) return stream;
    throw this.session.ended
      ? ended()
      : new TunlError('SANDBOX_SILENT', {reason: 'The sandbox has too many open streams.'});
  }

  /**
   * @param options.keep the process goes on when this session ends; the server must be able to find it again
   * @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED, OPTION_INVALID
   */
  exec(request: ExecRequest, {keep = false}: {keep?: boolean} = {}): Promise<SandboxProcess> {
    return this.#start({request, keep});
  }

  /** Joins a process that runs. Its output waits from where the last client left. @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED */
  attach(id: string): Promise<SandboxProcess> {
    return this.#start({attach: id});
  }

  async #start(opening: ExecOpening): Promise<SandboxProcess> {
    const started = await startProcess(opening, {
      client: this,
      clock: this.#clock,
      isFree: (id) => !this.#processes.has(id),
    });
    this.#processes.set(started.id, started);
    const forget = () => void this.#processes.delete(started.id);
    started.exit.then(forget, forget);
    return started;
  }

  /** To every process that was started here and still runs, with its group. */
  signal(signal: NodeJS.Signals): void {
    for (const each of this.#processes.values()) each.signal(signal).catch(() => {});
  }

  /** @throws an Error with the code of the system, such as ECONNREFUSED; TunlError SANDBOX_ENDED; the reason of `signal` */
  async dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    // Throws when the session has ended, so nothing is set up before.
    const stream = this.open({service: SERVICE.dial, port});
    const answered = Promise.withResolvers<void>();
    let isOpen = false;
    const duplex = new StreamDuplex(stream, {
      code: 'VISITOR_RESET',
      toError: (code, message) => (isOpen ? brokenError(code) : refusedError(code, message)),
      onOpened: () => {
        isOpen = true;
        answered.resolve();
      },
    });
    duplex.once('close', () => answered.reject(duplex.errored ?? dialError('ECONNRESET')));
    const onAbort = () => duplex.destroy(toError(signal?.reason));
    const timer = this.#clock.after(DIAL_TIMEOUT_MS, () => duplex.destroy(dialError('ETIMEDOUT')));
    signal?.addEventListener('abort', onAbort, {once: true});
    try {
      await answered.promise;
      return duplex.stillOpen();
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

function refusedError(code: StreamCode, message: string | undefined): Error {
  switch (code) {
    case 'UPSTREAM_REFUSED':
      return dialError('ECONNREFUSED');
    case 'UPSTREAM_TIMEOUT':
      return dialError('ETIMEDOUT');
    case 'SESSION_ENDED':
      return ended();
    default:
      return dialError(/^E[A-Z0-9]{2,20}$/.exec(message ?? '')?.[0] ?? 'ECONNRESET');
  }
}

function brokenError(code: StreamCode): Error {
  return code === 'SESSION_ENDED' ? ended() : dialError('ECONNRESET');
}

function dialError(code: string): Error {
  return Object.assign(new Error(`connect ${code} inside the sandbox`), {code});
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new TunlError('ABORTED', {cause: reason});
}
