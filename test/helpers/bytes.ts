// Bytes in bulk for tests: different everywhere, cheap to make, and hashed while they pass.
import {createHash, type Hash} from 'node:crypto';
import {Readable, Writable} from 'node:stream';

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

const block = Buffer.alloc(256 * 1024);
for (let i = 0, x = 0x9e3779b9; i < block.length; i += 4) {
  // xorshift: the period is longer than the block, and the bytes do not compress.
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  block.writeInt32LE(x | 0, i);
}

/** Exactly `length` bytes; every block contains its position, so a lost, doubled or moved block changes the hash. */
export function* pieces(length: number, seed = 0): Generator<Buffer> {
  for (let at = 0; at < length; at += block.length) {
    const piece = Buffer.from(block.subarray(0, Math.min(block.length, length - at)));
    if (piece.length >= 16) {
      piece.writeBigUInt64LE(BigInt(at), 0);
      piece.writeUInt32LE(seed, 8);
    }
    yield piece;
  }
}

export function source(length: number, seed = 0): Readable {
  return Readable.from(pieces(length, seed), {objectMode: false, highWaterMark: 1 << 20});
}

export function sha256Of(length: number, seed = 0): string {
  const hash = createHash('sha256');
  for (const piece of pieces(length, seed)) hash.update(piece);
  return hash.digest('hex');
}

/** Counts and hashes what is written to it. */
export class Digest extends Writable {
  readonly #hash: Hash = createHash('sha256');
  bytes = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
    done();
  }

  sha256(): string {
    return this.#hash.copy().digest('hex');
  }
}
