// The PROXY header: it tells an upstream the address of its visitor, in front of the visitor's bytes.
// https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt; docs/decisions/0055-the-proxy-header.md says why this is own code.

import {addressBytes, addressText} from '../../net/address-bytes.js';
import type {HostPort} from '../../protocol/targets.js';
import type {VisitorFacts} from './upstream.js';

export type ProxyVersion = 1 | 2;

const SIGNATURE: Readonly<Buffer> = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** The version in the high half; LOCAL: the sender itself has a reason to connect, such as a check. */
const LOCAL = 0x20;
const PROXY = 0x21;
/** Family and transport. */
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;

interface End {
  bytes: Buffer;
  port: number;
}

interface Ends {
  from: End;
  to: End;
}

export class ProxyHeader {
  readonly #version: ProxyVersion;
  /** The public sides of the tunnel. */
  readonly #sides = new Map<VisitorFacts['via'], HostPort>();

  constructor(version: ProxyVersion) {
    this.#version = version;
  }

  /** The relay has given this public side: visitors connect to it. */
  bound(via: VisitorFacts['via'], side: HostPort): void {
    this.#sides.set(via, side);
  }

  /** The header of a visitor's connection; of one without a visitor, such as a check, when there is none. */
  of(visitor: VisitorFacts | undefined): Buffer {
    if (visitor === undefined) return this.#version === 1 ? unknown() : binary(LOCAL, undefined);
    const ends = this.#endsOf(visitor);
    if (this.#version === 2) return binary(PROXY, ends);
    return ends === undefined ? unknown() : line(ends);
  }

  /** Undefined when the relay has sent no address. */
  #endsOf(visitor: VisitorFacts): Ends | undefined {
    const bytes = addressBytes(visitor.address);
    if (bytes === undefined) return undefined;
    const side = this.#sides.get(visitor.via);
    // Nearly always the public side is a name, and both addresses must be of one family.
    const known = side === undefined ? undefined : addressBytes(side.host);
    const to = known?.length === bytes.length ? known : Buffer.alloc(bytes.length);
    return {from: {bytes, port: visitor.port}, to: {bytes: to, port: side?.port ?? 0}};
  }
}

function line({from, to}: Ends): Buffer {
  const family = from.bytes.length === 4 ? 'TCP4' : 'TCP6';
  const addresses = `${addressText(from.bytes)} ${addressText(to.bytes)}`;
  return Buffer.from(`PROXY ${family} ${addresses} ${from.port} ${to.port}\r\n`, 'latin1');
}

function unknown(): Buffer {
  return Buffer.from('PROXY UNKNOWN\r\n', 'latin1');
}

function binary(command: number, ends: Ends | undefined): Buffer {
  const family = ends === undefined ? UNSPECIFIED : ends.from.bytes.length === 4 ? TCP4 : TCP6;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends?.from.port ?? 0, 0);
  ports.writeUInt16BE(ends?.to.port ?? 0, 2);
  const body = ends === undefined ? [] : [ends.from.bytes, ends.to.bytes, ports];
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.reduce((sum, {byteLength}) => sum + byteLength, 0));
  return Buffer.concat([SIGNATURE, Buffer.from([command, family]), length, ...body]);
}
