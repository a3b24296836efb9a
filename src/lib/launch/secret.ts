// Passwords and tokens for started programs: random, easy to copy, safe in a URL and in a shell.
import {randomBytes} from 'node:crypto';

// No 0/o and no 1/l: people read these from one screen and type them at another.
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 26 letters and digits of an alphabet of 32: 130 random bits. */
export function randomSecret(): string {
  return Array.from(randomBytes(26), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}
