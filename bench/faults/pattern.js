// An endless stream of bytes from a seed. Both sides of a transfer know each next byte.
import {createCipheriv, createHash} from 'node:crypto';

/** Returns a function that gives the next `count` bytes of the seed's stream. */
export function pattern(seed) {
  const key = createHash('sha256').update(String(seed)).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (count) => cipher.update(Buffer.alloc(count));
}
