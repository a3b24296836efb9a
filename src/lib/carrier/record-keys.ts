// The keys of encrypted records, for one direction of one link: a nonce for each record, and a new key before the old one has
// protected too much.

import type {KeyObject} from 'node:crypto';
import {createSecretKey, hkdfSync} from '../core/node-crypto.js';

export const SECRET_BYTES = 32;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

/**
 * AES-GCM may encrypt about 2^36 blocks of 16 bytes with one key before an observer has a chance of 2^-57 (as TLS 1.3 bounds it).
 * These records have at most 2^34 blocks.
 */
export const RECORDS_A_KEY = 2 ** 20;

export interface RecordKey {
  readonly key: KeyObject;
  /** Valid until the next call of `next`. */
  readonly nonce: Buffer;
}

/** Both ends count the records, so neither the number nor a change of the key is on the wire. */
export class RecordKeys implements RecordKey {
  key!: KeyObject;
  readonly nonce = Buffer.alloc(NONCE_BYTES);
  readonly #recordsAKey: number;
  #secret: Buffer;
  /** The last four bytes of the initial nonce. */
  #tail = 0;
  #count = 0;

  /** @param secret of one direction of one link; no other object may have it */
  constructor(secret: Buffer, recordsAKey = RECORDS_A_KEY) {
    if (secret.length !== SECRET_BYTES) throw new RangeError('a secret of another length');
    this.#recordsAKey = recordsAKey;
    this.#secret = secret;
    this.#begin();
  }

  /** The key and the nonce of the next record. */
  next(): RecordKey {
    if (this.#count === this.#recordsAKey) {
      this.#secret = derive(this.#secret, 'tunl record next', SECRET_BYTES);
      this.#begin();
    }
    this.nonce.writeUInt32BE((this.#tail ^ this.#count) >>> 0, NONCE_BYTES - 4);
    this.#count += 1;
    return this;
  }

  #begin(): void {
    const material = derive(this.#secret, 'tunl record key', KEY_BYTES + NONCE_BYTES);
    // A key object costs a third of the time of a Buffer at each record.
    this.key = createSecretKey(material.subarray(0, KEY_BYTES));
    material.copy(this.nonce, 0, KEY_BYTES);
    this.#tail = this.nonce.readUInt32BE(NONCE_BYTES - 4);
    this.#count = 0;
  }
}

function derive(secret: Buffer, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, bytes));
}
