// A relay for the members of private networks, without its rights and limits: a roster, and streams between members. A test can
// make it lie, and cut its links.

import {createPublicKey} from 'node:crypto';
import type {Duplex} from 'node:stream';
import {joinDuplexes} from '../../src/lib/bytes/join-duplexes.js';
import {StreamDuplex} from '../../src/lib/bytes/stream-duplex.js';
import {openLocalSession} from '../../src/lib/carrier/local-session.js';
import {verify} from '../../src/lib/core/node-crypto.js';
import type {Session} from '../../src/lib/mux/session.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {offerStream, type StreamHandler} from '../../src/lib/mux/stream-kinds.js';
import type {MemberKey} from '../../src/lib/network/member-key.js';
import {MembershipStream} from '../../src/lib/network/membership-stream.js';
import type {RelayLink} from '../../src/lib/open-link.js';
import {
  memberAddress,
  memberText,
  networkPrefix,
  parseMemberOpen,
  parseNetworkOpen,
  parseSignature,
  parseStateLine,
  type RosterMember,
} from '../../src/lib/protocol/network-messages.js';
import {KIND, type StreamCode} from '../../src/lib/protocol/wire.js';
import {socketPair} from './init.js';
import type {Scope} from './scope.js';

export const RELAY_NAME = 'relay.test';
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

interface Entry extends RosterMember {
  session: Session;
  duplex: StreamDuplex;
}

export class MemberHub {
  readonly entries = new Map<string, Entry>();
  readonly #scope: Scope;
  #serial = 0;
  /** Changes the roster before it is sent. */
  lie: (members: RosterMember[]) => RosterMember[] = (members) => members;
  /** The member that a stream reaches in place of the one that it means. */
  redirect: (to: string) => string = (to) => to;
  /** Streams between members that were opened, as `from to port`. */
  readonly opened: string[] = [];
  /** The pairs of streams that are joined. */
  readonly joined = new Set<Duplex>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** One agent. `cut` ends its session, and it begins a new one at once. */
  async link(): Promise<RelayLink & {cut(): void}> {
    const handlers: {[kind: number]: StreamHandler} = {};
    const listeners = new Set<() => void>();
    const ended = Promise.withResolvers<undefined>();
    let over = false;
    let session: Session;
    const begin = async () => {
      const [near, far] = await socketPair(this.#scope);
      session = openLocalSession({
        socket: near,
        role: 'agent',
        sink: {
          onOpen: (stream, about) => offerStream(handlers, stream, about, undefined),
          onControl: () => {},
          onEnded: () => {},
        },
      });
      const relaySide: Session = openLocalSession({
        socket: far,
        role: 'relay',
        sink: {
          onOpen: (stream, about) => this.#offer(relaySide, stream, about),
          onControl: () => {},
          onEnded: () => {},
        },
      });
    };
    await begin();
    this.#scope.onEnd(() => session.close());
    const refuse = () => {
      throw new Error('not in this test');
    };
    return {
      relay: {url: `https://${RELAY_NAME}`},
      features: [],
      linked: true,
      rttMs: 1,
      open: async (kind, about, options = {}) => {
        const stream = session.open(kind, about);
        if (stream === undefined) throw new Error('the link is closed');
        options.onOpen?.(stream);
        return stream;
      },
      connect: refuse,
      dialPort: refuse,
      ask: refuse,
      take: (kind, handler) => {
        handlers[kind] = handler;
      },
      onSession: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      ended: ended.promise,
      close: async () => {
        over = true;
        session.close();
        ended.resolve(undefined);
      },
      [Symbol.asyncDispose]: async () => session.close(),
      cut: () => {
        session.close();
        if (!over)
          void begin().then(() => {
            for (const listener of listeners) listener();
          });
      },
    } as RelayLink & {cut(): void};
  }

  /** A member with this key that does nothing by itself. */
  async joinRaw(name: string, key: MemberKey): Promise<MembershipStream> {
    const stream = new MembershipStream({
      link: await this.link(),
      relay: RELAY_NAME,
      network: {scope: 'net', network: 'lab'},
      member: {name, key, accepts: false},
      signal: this.#scope.signal,
      state: () => ({}),
      onJoined: () => {},
      onMembers: () => {},
      onEnded: () => {},
    });
    await stream.open();
    return stream;
  }

  /** Ends a membership as a relay does that takes it back. */
  end(name: string, code: StreamCode): void {
    const entry = this.entries.get(name);
    if (entry === undefined) return;
    this.entries.delete(name);
    entry.duplex.write(`${JSON.stringify({ended: {code, message: 'told so'}})}\n`);
    entry.duplex.end();
    this.tell();
  }

  tell(): void {
    const all = [...this.entries.values()].map(({session: _, duplex: __, ...member}) => member);
    for (const {duplex} of this.entries.values())
      duplex.write(`${JSON.stringify({members: this.lie(structuredClone(all))})}\n`);
  }

  #offer(session: Session, stream: Stream, about: Buffer): void {
    if (stream.kind === KIND.member) {
      this.#join(stream, about);
      return;
    }
    const {member, ...network} = parseNetworkOpen(about);
    const duplex = new StreamDuplex(stream);
    stream.accept();
    const say = (line: object) => duplex.write(`${JSON.stringify(line)}\n`);
    if (member === undefined) return;
    const challenge = 'ab'.repeat(32);
    let rest = '';
    let entry: Entry | undefined;
    duplex.on('data', (piece: Buffer) => {
      rest += piece;
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
        const line = Buffer.from(rest.slice(0, end));
        rest = rest.slice(end + 1);
        if (entry !== undefined) {
          entry.state = parseStateLine(line) ?? entry.state;
          this.tell();
          continue;
        }
        const text = memberText({relay: RELAY_NAME, ...network, name: member.name, challenge});
        const key = createPublicKey({key: Buffer.concat([SPKI, member.key]), format: 'der', type: 'spki'});
        if (!verify(null, text, key, parseSignature(line))) return void duplex.destroy();
        const known = this.entries.get(member.name);
        if (known !== undefined && known.key !== member.key.toString('base64url')) {
          say({ended: {code: 'MEMBER_NAME_USED', message: 'told so'}});
          return void duplex.end();
        }
        if (known !== undefined) this.end(member.name, 'MEMBER_REPLACED');
        this.#serial += 1;
        entry = {
          name: member.name,
          address: memberAddress(RELAY_NAME, network, member.key),
          key: member.key.toString('base64url'),
          serial: known?.serial ?? this.#serial,
          accepts: member.accepts,
          state: {},
          session,
          duplex,
        };
        this.entries.set(member.name, entry);
        say({
          joined: {prefix: networkPrefix(RELAY_NAME, network), address: entry.address, serial: entry.serial},
        });
        this.tell();
      }
    });
    duplex.once('close', () => {
      if (entry === undefined || this.entries.get(member.name) !== entry) return;
      this.entries.delete(member.name);
      this.tell();
    });
    say({challenge});
  }

  #join(stream: Stream, about: Buffer): void {
    const {from, to, port, ...network} = parseMemberOpen(about);
    this.opened.push(`${from} ${to} ${port}`);
    const there = this.entries.get(this.redirect(to));
    const own = this.entries.get(from);
    if (there === undefined || own === undefined) {
      stream.refuse('MEMBER_UNKNOWN', 'told so');
      return;
    }
    const near = new StreamDuplex(stream);
    const offer = {...network, to: this.redirect(to), from: {name: from, address: own.address}, port};
    const far = new StreamDuplex(there.session.open(KIND.member, offer) as Stream, {
      onOpened: () => {
        stream.accept();
        joinDuplexes(near, far);
        for (const each of [near, far]) {
          this.joined.add(each);
          each.once('close', () => this.joined.delete(each));
        }
      },
      toError: (code, message) => {
        stream.refuse(code, message);
        return new Error(code);
      },
    });
  }
}
