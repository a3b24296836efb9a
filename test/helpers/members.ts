// Members of private networks at a relay, for its tests: memberships by hand, and streams between them.
import {generateKeyPairSync, type KeyObject, sign} from 'node:crypto';
import {StreamRefusal} from '../../src/lib/agent/refused-stream.js';
import {StreamDuplex} from '../../src/lib/bytes/stream-duplex.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {type ConnectionOptions, openLink, type RelayLink} from '../../src/lib/open-link.js';
import {encodeLine, LineReader} from '../../src/lib/protocol/lines.js';
import {
  type Joined,
  type MemberOffer,
  memberText,
  NETWORK_LIMITS,
  type NetworkLine,
  type NetworkScope,
  networkOpen,
  parseMemberOffer,
  parseNetworkLine,
  type RosterMember,
} from '../../src/lib/protocol/network-messages.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import type {Scope} from './scope.js';

export interface MemberOptions {
  scope?: NetworkScope;
  network?: string;
  name: string;
  accepts?: boolean;
  /** Default: a new one. */
  key?: MemberKey;
  /** The text that it signs. Default: the right one. */
  text?: (challenge: string) => Buffer;
  /** False: it answers no challenge. */
  signs?: boolean;
}

export interface MemberKey {
  privateKey: KeyObject;
  raw: Buffer;
}

export function newMemberKey(): MemberKey {
  const {privateKey, publicKey} = generateKeyPairSync('ed25519');
  return {privateKey, raw: publicKey.export({format: 'der', type: 'spki'}).subarray(-32)};
}

/** An agent with a link, and the streams that members open to it. */
export class MemberAgent {
  readonly link: RelayLink;
  /** Accepted at once, unless `accepts` is false: then they wait here. */
  accepts = true;
  readonly #offered: {offer: MemberOffer; stream: Stream; duplex: StreamDuplex}[] = [];
  #wanted: (() => void) | undefined;

  private constructor(link: RelayLink) {
    this.link = link;
    link.take(KIND.member, (stream, about) => {
      const duplex = new StreamDuplex(stream, {
        code: 'UPSTREAM_RESET',
        toError: (code, message) => new StreamRefusal(code, message),
      });
      this.#offered.push({offer: parseMemberOffer(about), stream, duplex});
      if (this.accepts) stream.accept();
      this.#wanted?.();
    });
  }

  static async open(scope: Scope, options: ConnectionOptions): Promise<MemberAgent> {
    const link = await openLink({...options, features: ['member']});
    scope.onEnd(() => link.close());
    return new MemberAgent(link);
  }

  /** The next stream that a member has opened to this agent. */
  async offered(): Promise<{offer: MemberOffer; stream: Stream; duplex: StreamDuplex}> {
    for (;;) {
      const next = this.#offered.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => {
        this.#wanted = resolve;
      });
    }
  }

  get waiting(): number {
    return this.#offered.length;
  }

  /** Joins, and waits for the first roster. */
  async join(options: MemberOptions): Promise<TestMember> {
    const member = await this.ask(options);
    await member.until(() => member.joined !== undefined && member.members.length > 0);
    return member;
  }

  /** Asks for a membership, and waits for nothing but the stream. */
  async ask(options: MemberOptions): Promise<TestMember> {
    const {scope = 'net', network = 'lab', name, accepts = true, key = newMemberKey()} = options;
    const member = new TestMember();
    const relay = new URL(this.link.relay.url).hostname;
    member.onChallenge = (challenge) => {
      if (options.signs === false) return;
      const text = options.text?.(challenge) ?? memberText({relay, scope, network, name, challenge});
      member.send({signature: sign(null, text, key.privateKey).toString('base64url')});
    };
    const about = networkOpen({scope, network, member: {name, key: key.raw, accepts}});
    await this.link.open(KIND.service, about, {onOpen: member.onOpen});
    return member;
  }

  async watch(network = 'lab', scope: NetworkScope = 'net'): Promise<TestMember> {
    const watcher = new TestMember();
    await this.link.open(KIND.service, networkOpen({scope, network}), {onOpen: watcher.onOpen});
    return watcher;
  }

  /** Opens a stream to another member. @throws the reason of the refusal */
  connect(
    from: string,
    to: string,
    {port = 8000, network = 'lab', scope = 'net'} = {},
  ): Promise<StreamDuplex> {
    return this.link.connect(KIND.member, {scope, network, from, to, port});
  }

  /** Asks for a rendezvous with another member. @throws the reason of the refusal */
  meet(from: string, to: string, network: string): Promise<StreamDuplex> {
    const about = {scope: 'net', network, from, to, port: 0, rendezvous: true};
    return this.link.connect(KIND.member, about);
  }
}

/** A stream of the service `network`. */
export class TestMember {
  stream: Stream | undefined;
  joined: Joined | undefined;
  /** Of the last roster. */
  members: RosterMember[] = [];
  rosters = 0;
  ended: {code: string; message: string} | undefined;
  /** Reads nothing while false. */
  reads = true;
  onChallenge: (challenge: string) => void = () => {};
  readonly #over = Promise.withResolvers<{code: string; message: string | undefined}>();
  /** Resolves when the stream is refused or reset. */
  readonly over = this.#over.promise;
  readonly #lines = new LineReader(NETWORK_LIMITS.relayLineBytes);
  readonly #checks = new Set<() => void>();

  readonly onOpen = (stream: Stream): void => {
    this.stream = stream;
    stream.sink = {
      onData: (piece) => {
        if (!this.reads) return;
        this.#lines.push(piece);
        stream.consumed(piece.length);
        for (let line = this.#lines.next(); line !== undefined; line = this.#lines.next())
          this.#onLine(parseNetworkLine(line));
        this.#look();
      },
      onEnd: () => {},
      onWritable: () => {},
      onReset: (code, message) => {
        this.#over.resolve({code, message});
        this.#look();
      },
    };
  };

  send(line: object): void {
    this.stream?.write(encodeLine(line));
  }

  leave(): void {
    this.stream?.end();
  }

  names(): string[] {
    return this.members.map(({name}) => name);
  }

  async until(holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!holds()) return;
        this.#checks.delete(check);
        resolve();
      };
      this.#checks.add(check);
      check();
    });
  }

  #onLine(line: NetworkLine | undefined): void {
    if (line === undefined) return;
    if ('challenge' in line) this.onChallenge(line.challenge);
    else if ('joined' in line) this.joined = line.joined;
    else if ('ended' in line) this.ended = line.ended;
    else {
      this.members = line.members;
      this.rosters += 1;
    }
  }

  #look(): void {
    for (const check of [...this.#checks]) check();
  }
}
