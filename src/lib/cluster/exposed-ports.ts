// Public addresses in front of members' ports. They stay the same when the members start again.

import type {Duplex} from 'node:stream';
import type {LocalTunnel} from '../agent/tunnel.js';
import {PortUpstream} from '../agent/upstreams/port.js';
import {TunlError} from '../core/errors.js';
import {forwardLater} from '../forward.js';
import type {ClusterOptions, ExposedPort} from './options.js';

/** Connects to a port of a member. @throws Error with the system's code */
export type DialMember = (rank: number, port: number, signal: AbortSignal) => Promise<Duplex>;

export interface ExposedPortsOptions {
  readonly ports: readonly ExposedPort[];
  readonly forward: ClusterOptions['forward'];
  readonly dial: DialMember;
  readonly onAddress: (port: ExposedPort, address: string) => void;
}

/** How long visitors wait for a program that does not listen yet, ms. */
const WAIT_UPSTREAM_MS = 2_000;
/** After the programs have ended, visitors have this long to receive their last bytes, ms. */
const LAST_BYTES_MS = 1_000;

export class ExposedPorts {
  /** Rejects with the error that ended one of them. Never resolves. */
  readonly failed: Promise<never>;
  readonly #options: ExposedPortsOptions;
  readonly #giveUp = new AbortController();
  readonly #opening: readonly Promise<LocalTunnel>[];
  #isClosed = false;

  /** Begins at once. */
  constructor(options: ExposedPortsOptions) {
    this.#options = options;
    this.#opening = options.ports.map((port) => this.#open(port));
    this.failed = new Promise((_, reject) => {
      for (const each of this.#opening) {
        each
          .then(async ({closed}) => {
            await closed;
            if (!this.#isClosed) throw new TunlError('CLOSED');
          })
          .catch(reject);
      }
    });
    this.failed.catch(() => {});
  }

  /** The members have networks. @throws TunlError ABORTED by the signal; the reason why a port has no address */
  async point(signal: AbortSignal): Promise<void> {
    const abort = () => this.#giveUp.abort();
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      await this.#pointAll();
    } finally {
      // Later on visitors are served until the programs have ended.
      signal.removeEventListener('abort', abort);
    }
  }

  async #pointAll(): Promise<void> {
    await Promise.all(
      this.#options.ports.map(async ({rank, port}, index) => {
        const tunnel = (await this.#opening[index]) as LocalTunnel;
        const upstream = new PortUpstream(`rank ${rank}, port ${port}`, port, (at, signal) =>
          this.#options.dial(rank, at, signal),
        );
        tunnel.pointTo(upstream, {});
        this.#options.onAddress({rank, port}, tunnel.ready.address);
      }),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#giveUp.abort();
    const opened = await Promise.allSettled(this.#opening);
    await Promise.allSettled(
      opened.map((each) => each.status === 'fulfilled' && each.value.close({drainTimeoutMs: LAST_BYTES_MS})),
    );
  }

  #open({rank, port}: ExposedPort): Promise<LocalTunnel> {
    return forwardLater(`cluster ${rank}:${port}`, {
      waitUpstreamMs: WAIT_UPSTREAM_MS,
      ...this.#options.forward,
      signal: this.#giveUp.signal,
    });
  }
}
