// The local service: dialled once for each visitor, joined with the visitor's stream, reset when it breaks.

import {connect, type Socket} from 'node:net';
import {resetSocket} from '../bytes/reset.js';
import type {SocketReads} from '../bytes/socket-reads.js';
import {Splice} from '../bytes/splice.js';
import {systemCode} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import {formatHostPort, type HostPort} from '../protocol/targets.js';
import type {StreamCode} from '../protocol/wire.js';
import type {HostChecks} from './host-checks.js';

/** For one dial, ms: a service on this machine or its network answers sooner, and a visitor waits no longer. */
const DIAL_TIMEOUT_MS = 10_000;

export interface UpstreamVisit {
  stream: Stream;
  /** The upstream answered; bytes flow. */
  onOpen: () => void;
  /** The visit is over. `code`: why, when not in order. `cause`: the system's code when the upstream could not be dialled. */
  onDone: (code: StreamCode | undefined, cause?: string) => void;
}

/** Names below `.localhost` are loopback whatever the resolver says (RFC 6761); both families are tried. */
export function addressesOf(host: string): string[] {
  const name = host.toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost')) return ['127.0.0.1', '::1'];
  return [host];
}

export class Upstream {
  readonly #reads: SocketReads;
  readonly #checks: HostChecks | undefined;
  /** Undefined until a program that is being started answers. */
  #place: HostPort | undefined;
  /** The address that answered last comes first. */
  #addresses: string[] = [];

  constructor(place: HostPort | undefined, reads: SocketReads, checks?: HostChecks) {
    this.#reads = reads;
    this.#checks = checks;
    if (place !== undefined) this.pointTo(place);
  }

  get label(): string {
    return this.#place === undefined ? 'the upstream' : formatHostPort(this.#place.host, this.#place.port);
  }

  /** Where it is dialled, the most promising first; undefined until it is known. */
  get dialled(): {addresses: readonly string[]; port: number} | undefined {
    return this.#place && {addresses: this.#addresses, port: this.#place.port};
  }

  /** Visitors are led there from now on. */
  pointTo(place: HostPort): void {
    this.#place = place;
    this.#addresses = addressesOf(place.host);
  }

  /** Dials for one visitor's stream and splices; the stream is accepted or refused here. */
  visit({stream, onOpen, onDone}: UpstreamVisit): void {
    const place = this.#place;
    if (place === undefined) {
      stream.refuse('UPSTREAM_REFUSED');
      onDone('UPSTREAM_REFUSED');
      return;
    }
    const look = this.#checks?.begin();
    let socket: Socket | undefined;
    let refusal: string | undefined;
    const splice = new Splice({
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => socket !== undefined && resetSocket(socket),
      onDone: (code) => {
        // Nobody waits for the answer any more; it would keep the process for as long as a dial may take.
        if (socket?.connecting) socket.destroy();
        onDone(code, refusal);
      },
    });
    const dial = (left: string[]): void => {
      const [address, ...others] = left;
      const read = this.#reads.for(splice);
      const dialled = connect({
        host: address ?? place.host,
        port: place.port,
        noDelay: true,
        keepAlive: true,
        allowHalfOpen: true,
        onread: {
          buffer: () => read.buffer(),
          callback: look
            ? (bytes, buffer) => {
                look(buffer, bytes);
                return read.callback(bytes, buffer);
              }
            : (bytes, buffer) => read.callback(bytes, buffer),
        },
      });
      socket = dialled;
      const tooLong = setTimeout(
        () => dialled.destroy(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'})),
        DIAL_TIMEOUT_MS,
      );
      dialled.once('close', () => {
        clearTimeout(tooLong);
        read.release();
      });
      const failed = (error: Error) => {
        clearTimeout(tooLong);
        dialled.destroy();
        if (splice.done) return;
        if (others.length > 0) {
          dial(others);
          return;
        }
        refusal = systemCode(error) || 'ECONNREFUSED';
        const code = refusal === 'ETIMEDOUT' ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_REFUSED';
        stream.refuse(code);
        splice.onReset(code);
      };
      dialled.once('error', failed);
      dialled.once('connect', () => {
        clearTimeout(tooLong);
        dialled.off('error', failed);
        if (splice.done) {
          dialled.on('error', () => {});
          resetSocket(dialled);
          return;
        }
        if (address !== undefined && this.#addresses[0] !== address) {
          this.#addresses = [address, ...this.#addresses.filter((each) => each !== address)];
        }
        stream.accept();
        splice.join(dialled, 'onread');
        onOpen();
      });
    };
    dial(this.#addresses);
  }
}
