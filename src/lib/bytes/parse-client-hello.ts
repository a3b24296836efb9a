// Reads a whole ClientHello: the server name and the offered protocols.

import {isIP} from 'node:net';
import type {ClientHelloAnswer, ClientHelloRefusal} from './client-hello.js';

const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const NAME_TYPE_HOST = 0;
const MAX_NAME = 255;

const refused = (reason: ClientHelloRefusal): ClientHelloAnswer => ({state: 'refused', reason});

/** A position in the message. Every `take` checks the end first, and after a failed one all later ones fail. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;
  failed = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Buffer {
    if (this.failed || length > this.#bytes.length - this.#at) {
      this.failed = true;
      return Buffer.alloc(0);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(size: 1 | 2): number {
    const bytes = this.take(size);
    return this.failed ? 0 : bytes.readUIntBE(0, size);
  }

  /** A vector with its length before it. */
  vector(size: 1 | 2): Buffer {
    return this.take(this.number(size));
  }
}

/** @param body the message without its header, RFC 8446 §4.1.2. */
export function parseClientHello(body: Buffer): ClientHelloAnswer {
  const hello = new Cursor(body);
  hello.take(2 + 32); // version and random
  const sessionId = hello.vector(1);
  const cipherSuites = hello.vector(2);
  const compression = hello.vector(1);
  if (hello.failed || sessionId.length > 32) return refused('malformed');
  if (cipherSuites.length < 2 || cipherSuites.length % 2 !== 0 || compression.length < 1)
    return refused('malformed');

  let serverName: string | undefined;
  let alpn: string[] | undefined;
  let named = false;
  // Before TLS 1.3 a hello may end without extensions.
  const extensions = new Cursor(hello.atEnd ? Buffer.alloc(0) : hello.vector(2));
  if (hello.failed || !hello.atEnd) return refused('malformed');
  while (!extensions.atEnd) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    if (extensions.failed) return refused('malformed');
    if (type === EXTENSION_SERVER_NAME) {
      const name = named ? 'invalid' : parseServerName(data);
      if (name === 'invalid') return refused('server-name');
      named = true;
      serverName = name.host;
    } else if (type === EXTENSION_ALPN) {
      const offered = alpn === undefined ? parseAlpn(data) : undefined;
      if (offered === undefined) return refused('malformed');
      alpn = offered;
    }
  }
  return {state: 'hello', serverName, alpn: alpn ?? []};
}

/** RFC 6066 §3: one name; there is only one type. */
function parseServerName(data: Buffer): {host: string | undefined} | 'invalid' {
  const outer = new Cursor(data);
  const list = new Cursor(outer.vector(2));
  const type = list.number(1);
  const raw = list.vector(2);
  if (outer.failed || !outer.atEnd || list.failed || !list.atEnd) return 'invalid';
  if (type !== NAME_TYPE_HOST || raw.length === 0 || raw.length > MAX_NAME) return 'invalid';
  // Latin-1 keeps every byte as one character, so bytes outside ASCII fail below and are not replaced.
  const host = raw
    .toString('latin1')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replace(/\.$/, '');
  if (mayBeAddress(host) && isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0) return {host: undefined};
  return /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(host) ? {host} : 'invalid';
}

/** An address has a colon, or ends with a digit or a bracket. The full check is slow, and nearly all names do not need it. */
const mayBeAddress = (host: string): boolean => /[\d\]]$/.test(host) || host.includes(':');

/** RFC 7301 §3.1. */
function parseAlpn(data: Buffer): string[] | undefined {
  const outer = new Cursor(data);
  const list = new Cursor(outer.vector(2));
  if (outer.failed || !outer.atEnd || list.atEnd) return undefined;
  const offered: string[] = [];
  while (!list.atEnd) {
    const name = list.vector(1);
    if (list.failed || name.length === 0) return undefined;
    offered.push(name.toString('latin1'));
  }
  return offered;
}
