// The serving side of `dial`.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {resetSocket} from '../../bytes/reset.js';
import {type SocketRead, SocketReads} from '../../bytes/socket-reads.js';
import {Splice} from '../../bytes/splice.js';
import {systemCode, toTunlError} from '../../core/errors.js';
import {BlockPool} from '../../mux/blocks.js';
import type {Stream} from '../../mux/stream.js';
import {MalformedMessage} from '../../protocol/fields.js';

/**
 * Connects to a port of the sandbox.
 *
 * @param reader makes the `onread` of the socket that is returned. Without it, the connection is read by its `data` events.
 * @throws an Error with a system code, or a TunlError
 */
export type DialPort = (port: number, signal: AbortSignal, reader: () => SocketRead) => Promise<Duplex>;

/** Blocks that idle connections keep: 1 MiB. */
const KEPT_BLOCKS = 6;

export class DialServer {
  readonly #dial: DialPort;
  #reads: SocketReads | undefined;

  constructor(dial: DialPort) {
    this.#dial = dial;
  }

  /** @throws MalformedMessage */
  serve(stream: Stream, port: number | undefined): void {
    if (port === undefined) throw new MalformedMessage('dial has no port');
    const abort = new AbortController();
    let connection: Duplex | undefined;
    let reads: 'events' | 'onread' = 'events';
    const splice = new Splice({
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => reset(connection),
      connects: () => true,
      onDone: () => abort.abort(),
    });
    const reader = () => {
      reads = 'onread';
      this.#reads ??= new SocketReads(new BlockPool(KEPT_BLOCKS));
      return this.#reads.for(splice);
    };
    this.#dial(port, abort.signal, reader).then(
      (dialled) => {
        connection = dialled;
        stream.accept();
        splice.join(dialled as Socket, reads);
      },
      (error: unknown) => refuse(stream, error),
    );
  }
}

function reset(connection: Duplex | undefined): void {
  if (connection instanceof Socket) resetSocket(connection);
  else connection?.destroy();
}

function refuse(stream: Stream, error: unknown): void {
  const system = systemCode(error);
  if (system === 'ECONNREFUSED') stream.refuse('UPSTREAM_REFUSED', system);
  else if (system === 'ETIMEDOUT') stream.refuse('UPSTREAM_TIMEOUT', system);
  else stream.refuse('UPSTREAM_RESET', system === '' ? toTunlError(error).code : system);
}
