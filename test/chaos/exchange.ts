// One visitor that sends and receives many bytes at once and then compares: this shows "nothing lost, nothing doubled".
import {createHash, type Hash} from 'node:crypto';
import type {Socket} from 'node:net';
import {Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {source} from '../helpers/bytes.js';
import type {Scope} from '../helpers/scope.js';
import {tcpUpstream} from '../helpers/upstreams.js';

const HEADER = 8;

/** Passes bytes through and hashes them. */
class Hashing extends Transform {
  readonly hash: Hash = createHash('sha256');

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (e: null, chunk: Buffer) => void,
  ): void {
    this.hash.update(chunk);
    done(null, chunk);
  }
}

/**
 * For each visitor: reads 4 bytes of seed and 4 of MiB, then sends that many bytes while it reads to the visitor's end.
 * Then it sends the digests of the bytes that it sent and received, and ends.
 */
export function exchangeUpstream(scope: Scope): Promise<number> {
  return tcpUpstream(scope, (socket) => {
    const got = createHash('sha256');
    let header: Buffer | undefined = Buffer.alloc(0);
    const ended = new Promise<void>((resolve) => socket.on('end', resolve));
    socket.on('data', (chunk: Buffer) => {
      if (header === undefined) {
        got.update(chunk);
        return;
      }
      header = Buffer.concat([header, chunk]);
      if (header.length < HEADER) return;
      const [seed, mebibytes] = [header.readUInt32BE(0), header.readUInt32BE(4)];
      got.update(header.subarray(HEADER));
      header = undefined;
      void send(seed, mebibytes * 2 ** 20);
    });
    const send = async (seed: number, bytes: number) => {
      const sending = new Hashing();
      await pipeline(source(bytes, seed), sending, socket, {end: false}).catch(() => {});
      await ended;
      socket.end(sending.hash.digest('hex') + got.digest('hex'));
    };
  });
}

export interface Exchanged {
  /** Bytes that came, without the digests. */
  received: number;
  /** Both sides received what the other sent. */
  equal: boolean;
}

/** One visitor of an exchangeUpstream: `mebibytes` each way at once, then the comparison. Rejects when it is cut off. */
export async function exchange(socket: Socket, seed: number, mebibytes: number): Promise<Exchanged> {
  const bytes = mebibytes * 2 ** 20;
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(seed, 0);
  header.writeUInt32BE(mebibytes, 4);
  socket.write(header);
  const sending = new Hashing();
  const sent = pipeline(source(bytes, seed + 1_000), sending, socket);
  const got = createHash('sha256');
  let received = 0;
  let tail = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const data = chunk.subarray(0, Math.max(0, bytes - received));
    got.update(data);
    received += data.length;
    tail += chunk.subarray(data.length).toString('latin1');
  }
  await sent;
  return {
    received: received + tail.length - 128,
    equal: tail === got.digest('hex') + sending.hash.digest('hex'),
  };
}
