// One stream of the service `network`: proves the member's key, then gets the roster until the stream ends.

import type {Stream, StreamSink} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import {MalformedMessage} from '../protocol/fields.js';
import {LineReader} from '../protocol/lines.js';
import {
  type Joined,
  memberText,
  NETWORK_LIMITS,
  type NetworkName,
  networkOpen,
  parseNetworkLine,
  type RosterMember,
} from '../protocol/network-messages.js';
import {KIND, type StreamCode} from '../protocol/wire.js';
import type {MemberKey} from './member-key.js';

export interface MembershipStreamOptions {
  readonly link: Pick<RelayLink, 'open'>;
  /** The relay's name, as it is dialled. */
  readonly relay: string;
  readonly network: NetworkName;
  /** Undefined: it only watches the roster. */
  readonly member: {name: string; key: MemberKey; accepts: boolean} | undefined;
  readonly signal: AbortSignal;
  /** The state to begin with. */
  readonly state: () => object;
  onJoined(joined: Joined): void;
  onMembers(members: RosterMember[]): void;
  /** Called once. */
  onEnded(code: StreamCode, message: string | undefined): void;
}

export class MembershipStream implements StreamSink {
  readonly #options: MembershipStreamOptions;
  #stream: Stream | undefined;
  readonly #reader = new LineReader(NETWORK_LIMITS.relayLineBytes);
  #joined = false;
  #reason: {code: StreamCode; message: string | undefined} | undefined;
  #over = false;

  constructor(options: MembershipStreamOptions) {
    this.#options = options;
  }

  /** @throws TunlError as `RelayLink.open` */
  async open(): Promise<void> {
    const {link, network, member, signal} = this.#options;
    const about = networkOpen({
      ...network,
      ...(member && {member: {name: member.name, key: member.key.raw, accepts: member.accepts}}),
    });
    const onOpen = (stream: Stream) => {
      this.#stream = stream;
      stream.sink = this;
    };
    await link.open(KIND.service, about, {signal, onOpen});
    if (this.#over) this.#stream?.reset('CANCELLED');
  }

  /** Tells all members. Before the relay has let this one in, the state goes with the first line. */
  sendState(state: object): void {
    if (this.#joined) this.#send({state});
  }

  /** Ends the membership. No event follows. */
  close(): void {
    this.#over = true;
    this.#stream?.reset('CANCELLED');
  }

  // ── From the stream ──

  onData(piece: Buffer): void {
    // It copies: a kept piece would hold the whole read that it came with, so small pieces could fill the memory.
    if (!this.#over) this.#reader.push(piece);
    this.#stream?.consumed(piece.length);
    while (!this.#over) {
      let line: Buffer | undefined;
      try {
        line = this.#reader.next();
      } catch (error) {
        if (!(error instanceof MalformedMessage)) throw error;
        this.#fail('CANCELLED', 'The relay’s line is too long.');
        return;
      }
      if (line === undefined) return;
      this.#read(line);
    }
  }

  onEnd(): void {
    this.#fail('SESSION_ENDED', undefined);
  }

  onWritable(): void {}

  onReset(code: StreamCode, message?: string): void {
    this.#fail(code, message);
  }

  #read(line: Buffer): void {
    const {network, relay, member, state, onJoined, onMembers} = this.#options;
    let said: ReturnType<typeof parseNetworkLine>;
    try {
      said = parseNetworkLine(line);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#fail('CANCELLED', `The relay’s line cannot be read: ${error.message}.`);
      return;
    }
    if (said === undefined) return;
    if ('challenge' in said) {
      if (member === undefined) return;
      const {name, key} = member;
      const text = memberText({relay, ...network, name, challenge: said.challenge});
      this.#send({signature: key.sign(text).toString('base64url')});
    } else if ('joined' in said) {
      this.#joined = true;
      const first = state();
      if (member !== undefined && Object.keys(first).length > 0) this.#send({state: first});
      onJoined(said.joined);
    } else if ('members' in said) onMembers(said.members);
    else this.#reason = said.ended;
  }

  #send(message: object): void {
    // The relay reads these; it resets a stream whose lines it cannot take.
    this.#stream?.write(Buffer.from(`${JSON.stringify(message)}\n`));
  }

  #fail(code: StreamCode, message: string | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream?.reset('CANCELLED');
    this.#options.onEnded(this.#reason?.code ?? code, this.#reason?.message ?? message);
  }
}
