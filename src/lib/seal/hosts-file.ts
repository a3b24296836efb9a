// The /etc/hosts of a sealed program, which changes while programs read it.
//
// The file is mounted, so it cannot be replaced by another one. Every member has a line of the same length at a place of its
// own, and a change writes this line only: a reader never sees a half of one.

import {closeSync, openSync, writeSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {isIP} from 'node:net';
import {addressKind} from '../net/address-kind.js';
import type {MemberHost} from './member-network.js';

/** An address (39), the full name (63 + 1 + 63 + 14), the label (63), and blanks. It divides a page of memory. */
const LINE_LENGTH = 256;

const EMPTY = line('#');

export class HostsFile {
  readonly #file: number;
  /** Text → its place. Undefined: the place is free. */
  readonly #places: (string | undefined)[] = [];
  readonly #first: number;
  #isClosed = false;

  /** @param first lines that stay */
  constructor(path: string, first: readonly string[]) {
    this.#file = openSync(path, 'r+');
    for (const text of first) this.#write(this.#places.push(text) - 1, text);
    this.#first = first.length;
  }

  setHosts(hosts: readonly MemberHost[]): void {
    if (this.#isClosed) return;
    const wanted = new Set(hosts.map(({address, names}) => `${address} ${names.join(' ')}`));
    for (const [place, text] of this.#places.entries()) {
      if (place < this.#first || text === undefined || wanted.delete(text)) continue;
      this.#places[place] = undefined;
      this.#change(place, undefined);
    }
    for (const text of wanted) {
      const free = this.#places.indexOf(undefined);
      const place = free === -1 ? this.#places.length : free;
      this.#places[place] = text;
      this.#change(place, text);
    }
  }

  /** Idempotent. */
  close(): void {
    if (!this.#isClosed) closeSync(this.#file);
    this.#isClosed = true;
  }

  /** The program may have filled the small file system of its own file. The resolver still answers for the name. */
  #change(place: number, text: string | undefined): void {
    try {
      this.#write(place, text);
    } catch {}
  }

  #write(place: number, text: string | undefined): void {
    writeSync(this.#file, text === undefined ? EMPTY : line(text), 0, LINE_LENGTH, place * LINE_LENGTH);
  }
}

/** Lines that stay from the machine's own file. */
const MAX_PUBLIC = 256;

/** The lines of this machine's /etc/hosts with public addresses. The seal refuses all others. */
export async function publicHosts(): Promise<string[]> {
  const text = await readFile('/etc/hosts', 'latin1').catch(() => '');
  return text
    .split('\n')
    .map((each) => (each.split('#')[0] ?? '').trim().split(/\s+/).join(' '))
    .filter(
      (each) => isIP(each.split(' ')[0] ?? '') !== 0 && addressKind(each.split(' ')[0] ?? '') === 'public',
    )
    .slice(0, MAX_PUBLIC);
}

/** A line that is too long loses its last names. */
function line(text: string): Buffer {
  const words = text.split(' ');
  while (words.join(' ').length >= LINE_LENGTH) words.pop();
  return Buffer.from(`${words.join(' ').padEnd(LINE_LENGTH - 1)}\n`, 'latin1');
}
