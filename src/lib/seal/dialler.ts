// The program that dials inside a network namespace: it connects, and hands the connected socket over to the process that
// holds the seal. It starts with the first connection, and lives as long as the seal.

import {connect, type Socket} from 'node:net';

/** The holder of the seal asks for a connection. */
export interface DialRequest {
  readonly dial: number;
  readonly port: number;
  /** Tried in this order. */
  readonly addresses: readonly string[];
  /** The source address. Default: the kernel's choice. */
  readonly from?: string | undefined;
}

/** The first comes with the socket. */
export type DialAnswer =
  | {readonly dialled: number}
  | {readonly dialled: number; readonly failed: string; readonly address: string};

/** A listener whose queue is full drops requests without a word. */
const DIAL_TIMEOUT_MS = 10_000;

function dial(request: DialRequest, dialling: Set<Socket>): void {
  const {dial: id, port, from} = request;
  const [address = '', ...addresses] = request.addresses;
  const socket = connect({
    port,
    host: address,
    allowHalfOpen: true,
    ...(from !== undefined && {localAddress: from}),
  });
  dialling.add(socket);
  // The first bytes are for the process that gets the socket.
  socket.pause();
  const timer = setTimeout(() => fail('ETIMEDOUT'), DIAL_TIMEOUT_MS).unref();
  const settle = () => {
    clearTimeout(timer);
    dialling.delete(socket);
  };
  const fail = (code: string) => {
    settle();
    socket.destroy();
    if (addresses.length > 0) dial({...request, addresses}, dialling);
    else answer({dialled: id, failed: code, address});
  };
  const failed = (error: NodeJS.ErrnoException) => fail(error.code ?? 'ECONNRESET');
  socket.once('error', failed);
  socket.once('connect', () => {
    settle();
    socket.off('error', failed).on('error', () => {});
    // Node closes this process's copy when the other one has arrived.
    answer({dialled: id}, socket);
  });
}

function answer(message: DialAnswer, socket?: Socket): void {
  process.send?.(message, socket, {}, (error) => {
    if (error !== null) socket?.destroy();
  });
}

function main(): void {
  const dialling = new Set<Socket>();
  process.on('message', (message) => dial(message as DialRequest, dialling));
  // It ends when nothing is open any more.
  process.on('disconnect', () => {
    for (const socket of dialling) socket.destroy();
  });
}

// Without its channel there is nobody to hand them over to.
if (process.send !== undefined) main();
