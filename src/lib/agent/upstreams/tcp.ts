// A TCP port as an upstream. Services on this machine's loopback are looked up in the kernel's tables, not dialled.

import type {Socket} from 'node:net';
import {resetSocket} from '../../bytes/reset.js';
import {withReader} from '../../bytes/socket-reads.js';
import {isListening, isLoopbackAddress} from '../../core/listening.js';
import {dial, openSocket} from '../../net/dial.js';
import {knownAddresses} from '../../net/localhost.js';
import {formatHostPort, type HostPort} from '../../protocol/targets.js';
import {answersTls} from './tls-probe.js';
import {
  DIAL_TIMEOUT_MS,
  type ListenState,
  PROBE_TIMEOUT_MS,
  type Upstream,
  type UpstreamDial,
} from './upstream.js';

export class TcpUpstream implements Upstream {
  readonly label: string;
  readonly port: number;
  readonly #place: HostPort;
  /** The address that answered last. */
  #answered: string | undefined;

  /** @param label Default: host and port. */
  constructor(place: HostPort, label = formatHostPort(place.host, place.port)) {
    this.#place = place;
    this.port = place.port;
    this.label = label;
  }

  dial({preface, reader, onOpen, onFailed}: UpstreamDial): () => void {
    return dial({
      host: this.#place.host,
      port: this.#place.port,
      timeoutMs: DIAL_TIMEOUT_MS,
      prefer: this.#answered,
      keepAlive: false,
      open: (address, port) => withReader(reader?.(), (options) => openSocket(address, port, options)),
      onOpen: (socket, address) => {
        this.#answered = address;
        if (preface !== undefined) socket.write(preface);
        onOpen({socket, reads: reader ? 'onread' : 'events', reset: () => resetSocket(socket)});
      },
      onFailed,
    });
  }

  listenState(): Promise<ListenState> {
    return listenStateOf(this.#place);
  }

  probe(preface?: Buffer): Promise<Error | undefined> {
    return new Promise((resolve) => {
      dial({
        ...this.#place,
        timeoutMs: PROBE_TIMEOUT_MS,
        open: (address, port) => openSocket(address, port).unref(),
        onOpen: (socket) => {
          resolve(undefined);
          leave(socket, preface);
        },
        onFailed: resolve,
      });
    });
  }

  speaksTls(preface?: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      dial({
        ...this.#place,
        timeoutMs: PROBE_TIMEOUT_MS,
        open: (address, port) => openSocket(address, port).unref(),
        onOpen: (socket) => resolve(answersTls(socket, {host: this.#place.host, preface})),
        onFailed: () => resolve(false),
      });
    });
  }
}

/** Ends the connection of a check. A service that expects a preface would report a connection without one. */
export function leave(socket: Socket, preface: Buffer | undefined): void {
  socket.on('error', () => {});
  if (preface === undefined) socket.destroy();
  else socket.end(preface, () => socket.destroy());
}

/** A port that the kernel forwards (to a container) has no socket here, so "no listener" is not certain. */
export async function listenStateOf({host, port}: HostPort): Promise<ListenState> {
  const addresses = knownAddresses(host);
  if (process.platform !== 'linux' || !addresses?.every(isLoopbackAddress)) return 'unknown';
  return (await isListening(addresses, port)) ? 'listening' : 'nobody';
}
