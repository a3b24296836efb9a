// The text of a token of the registry: `tunl_<kind>_<id 10>_<secret 43>_<checksum 6>`. The prefix and the checksum are for
// programs that look for secrets in files; the id is no secret.

import {createHash, randomBytes} from '../../core/node-crypto.js';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 62^43 is more than 2^256. */
const SECRET_BYTES = 32;
const SECRET_DIGITS = 43;
const CHECKSUM_DIGITS = 6;
/** Ids are compared and typed by people: no upper case, no 0 and 1. */
const ID_DIGITS = 'abcdefghijklmnopqrstuvwxyz234567';

const TOKEN = /^tunl_[a-z]{1,12}_([a-z2-7]{10})_[0-9A-Za-z]{43}_([0-9A-Za-z]{6})$/;

/** @param kind who shows the token: `agent`. */
export function newToken(kind: string, id: string): string {
  const secret = BigInt(`0x${randomBytes(SECRET_BYTES).toString('hex')}`);
  const text = `tunl_${kind}_${id}_${base62(secret, SECRET_DIGITS)}`;
  return `${text}_${checksumOf(text)}`;
}

export function newTokenId(): string {
  return [...randomBytes(10)].map((byte) => ID_DIGITS.charAt(byte & 31)).join('');
}

/** Undefined when the text does not have the form of a token; the checksum is not compared. */
export function tokenIdOf(token: string): string | undefined {
  return TOKEN.exec(token)?.[1];
}

export function hasChecksum(token: string): boolean {
  const end = token.length - CHECKSUM_DIGITS - 1;
  return checksumOf(token.slice(0, end)) === token.slice(end + 1);
}

/** The stored form. The secret has 256 random bits, so one round of a fast hash is enough, and a guess costs the relay little. */
export function hashOfToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function checksumOf(text: string): string {
  // Not imported: Node 18 has no such export, and an old Node must come as far as the error that says so.
  return base62(BigInt(process.getBuiltinModule('node:zlib').crc32(text)), CHECKSUM_DIGITS);
}

function base62(value: bigint, digits: number): string {
  let text = '';
  for (let left = value; left > 0n; left /= 62n) text = DIGITS.charAt(Number(left % 62n)) + text;
  return text.padStart(digits, '0');
}
