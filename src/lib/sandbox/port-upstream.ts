// A port of a sandbox as the upstream of a tunnel: it is dialled inside, and nothing of it listens on this machine.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {
  DIAL_TIMEOUT_MS,
  type ListenState,
  PROBE_TIMEOUT_MS,
  type Upstream,
  type UpstreamDial,
} from '../agent/upstreams/upstream.js';
import {leave} from './probe.js';

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
        onOpen({socket: connection as Socket, reads: 'events', reset});
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
          leave(connection);
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
