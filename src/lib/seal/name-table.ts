// Addresses of our own for the names of a list: one address is one name, so a connection says by its address which name the
// program means. The real addresses of two names may be the same, and change.

import {addressBytes} from '../net/address-bytes.js';

/** A program that looks up more names than this loses the addresses of those that it used least recently. */
const MAX_NAMES = 4_096;
/** 198.18.0.0/16, of the networks for benchmarks: no host on the internet has them. */
const PREFIX4 = [198, 18] as const;
/** A ULA prefix of our own. */
const PREFIX6 = 'fd74:756e:1::';
const PREFIX6_BYTES: Readonly<Buffer> = (addressBytes(PREFIX6) as Buffer).subarray(0, 14);
/** The first ones are for the resolver. */
const FIRST = 16;
const LAST = 0xfffe;

/** An address for the files that name a resolver. Questions to all others arrive at the same place. */
export const RESOLVER_ADDRESS = `${PREFIX4.join('.')}.0.1`;

export class NameTable {
  /** The least recently used first. */
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<number, string>();
  #next = FIRST;

  get size(): number {
    return this.#numbers.size;
  }

  /** The addresses of a name, the same ones as long as it is in use. */
  addressesOf(name: string): {readonly v4: string; readonly v6: string} {
    const number = this.#numbers.get(name) ?? this.#newNumber(name);
    this.#touch(name, number);
    return {v4: [...PREFIX4, number >> 8, number & 255].join('.'), v6: `${PREFIX6}${number.toString(16)}`};
  }

  /** 'unknown': the address belongs to no name, or no longer. Undefined: it is not one of ours. */
  nameOf(address: string): {readonly name: string} | 'unknown' | undefined {
    const bytes = addressBytes(address);
    if (bytes === undefined) return undefined;
    const isOurs =
      bytes.length === 4
        ? bytes[0] === PREFIX4[0] && bytes[1] === PREFIX4[1]
        : bytes.subarray(0, 14).equals(PREFIX6_BYTES);
    if (!isOurs) return undefined;
    const number = bytes.readUInt16BE(bytes.length - 2);
    const name = this.#names.get(number);
    if (name === undefined) return 'unknown';
    this.#touch(name, number);
    return {name};
  }

  #touch(name: string, number: number): void {
    this.#numbers.delete(name);
    this.#numbers.set(name, number);
  }

  #newNumber(name: string): number {
    const [oldest] = this.#numbers;
    if (oldest !== undefined && this.#numbers.size >= MAX_NAMES) {
      this.#numbers.delete(oldest[0]);
      this.#names.delete(oldest[1]);
    }
    // An address gets another name as late as possible.
    while (this.#names.has(this.#next)) this.#step();
    const number = this.#next;
    this.#step();
    this.#names.set(number, name);
    return number;
  }

  #step(): void {
    this.#next = this.#next >= LAST ? FIRST : this.#next + 1;
  }
}
