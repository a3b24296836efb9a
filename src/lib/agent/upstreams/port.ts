// A port as the upstream of a tunnel that somebody else dials: one inside a sandbox, or of a member of a private network. Nothing
// of it listens on this machine.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {
  DIAL_TIMEOUT_MS,
  type ListenState,
  PROBE_TIMEOUT_MS,
  type Upstream,
  type UpstreamDial,
} from './upstream.js';

export type DialPort = (port: number, signal: AbortSignal) => Promise<Duplex>;

export class PortUpstream implements Upstream {
  readonly label: string;
  // No `port`: it is not one of this machine, so the guard against loops must not compare it.
  readonly #port: number;
  readonly #dialPort: DialPort;

  constructor(label: string, port: number, dialPort: DialPort) {
    this.label = label;
    this.#port = port;
    this.#dialPort = dialPort;
  }

  dial({preface, onOpen, onFailed}: UpstreamDial): () => void {
    return this.#dial(DIAL_TIMEOUT_MS, {
      onOpen: (connection) => {
        if (preface !== undefined) connection.write(preface);
        const reset = () => {
          const socket = connection as Partial<Socket>;
          if (socket.resetAndDestroy) socket.resetAndDestroy();
          else connection.destroy();
        };
        onOpen({socket: connection, reads: 'events', reset});
      },
      onFailed,
    });
  }

  /** Only a connection shows it. */
  async listenState(): Promise<ListenState> {
    return 'unknown';
  }

  probe(): Promise<Error | undefined> {
    return new Promise((resolve) => {
      this.#dial(PROBE_TIMEOUT_MS, {
        onOpen: (connection) => {
          resolve(undefined);
          leaveInOrder(connection);
        },
        onFailed: resolve,
      });
    });
  }

  #dial(
    timeoutMs: number,
    {onOpen, onFailed}: {onOpen(to: Duplex): void; onFailed(error: Error): void},
  ): () => void {
    const giveUp = new AbortController();
    let isOver = false;
    const end = () => {
      isOver = true;
      clearTimeout(timer);
      giveUp.abort();
    };
    const timer = setTimeout(() => {
      end();
      onFailed(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
    }, timeoutMs).unref();
    this.#dialPort(this.#port, giveUp.signal).then(
      (connection) => {
        clearTimeout(timer);
        if (!isOver) return onOpen(connection);
        connection.on('error', () => {});
        connection.destroy();
      },
      (error: unknown) => {
        clearTimeout(timer);
        if (!isOver) onFailed(error instanceof Error ? error : new Error(String(error)));
      },
    );
    return end;
  }
}

/** A service that has not ended its side of a check's connection by then is left, ms. */
const LEAVE_MS = 1_000;

/** Ends the connection of a check in order: many services report a reset one. */
export function leaveInOrder(connection: Duplex): void {
  const timer = setTimeout(() => connection.destroy(), LEAVE_MS).unref();
  connection.on('error', () => {});
  connection.once('close', () => clearTimeout(timer));
  connection.resume().end();
}
