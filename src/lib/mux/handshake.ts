// The first messages on a link: which session is it, may it go on, and who proves what. After them the session has the link.

import {type Clock, systemClock} from '../core/clock.js';
import {isErrorCode, TunlError, toTunlError} from '../core/errors.js';
import {
  type Challenge,
  FEATURE_IDENTITY,
  type Hello,
  type LinkMessage,
  type Welcome,
} from '../protocol/link-messages.js';
import {PROTOCOL_VERSION} from '../protocol/wire.js';
import type {Carrier} from './carrier.js';
import {type Link, type LinkSink, NOBODY} from './link.js';
import {newNonce} from './proof.js';
import type {AgentTicket} from './resume-ticket.js';

/** Turns the events of a link that is not a session's yet into messages and one end. Session bytes are a violation here. */
function listen(
  link: Link,
  onMessage: (message: LinkMessage) => void,
  onClose: (error: Error | undefined) => void,
): LinkSink {
  return {
    onSegmentBytes: () => link.violate('session bytes before the handshake'),
    onAck: () => link.violate('an ack before the handshake'),
    onMessage,
    onDrain: () => {},
    onClose,
  };
}

/** A session, as far as the handshake knows it. */
export interface ResumeOffer {
  /** How much of it has been received here; called when the hello is written. */
  offerResume(): number;
  /** The hello came to something or not. */
  settleResume(): void;
}

/** @throws TunlError when this link cannot carry a proof. */
export type Identify = (asked: {
  carrier: Carrier;
  relayNonce: string;
  agentNonce: string;
}) => NonNullable<Hello['identity']>;

export interface AgentHandshake {
  software: string;
  /**
   * The session to go on with, and how much of it has been received here. A number is right only when it cannot
   * change any more, because the old link is gone; while that may still live it has to be the session itself.
   */
  resume?: {ticket: AgentTicket; received: number | ResumeOffer};
  /**
   * Proves who the agent is with its own key. A relay that asks for it needs it; one that has seen a token may note the key
   * besides, and an agent that cannot prove it there goes without.
   */
  identify?: Identify;
  /** What the relay is told that this agent does besides the first form of the protocol. */
  features?: readonly string[];
  signal?: AbortSignal;
  /** Aborted when the agent ends: a relay that may have begun a session by then is told that nobody wants it. */
  leaving?: AbortSignal;
  clock?: Clock;
  /** How long the relay may take from the upgrade to its answer, ms. Default 10,000. */
  timeoutMs?: number;
}

/** As long as the relay waits for a hello. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * The agent's side, on a link that was not started yet. The caller attaches the session in the same turn in which this
 * resolves: `attach` runs before any later byte is read.
 *
 * @param attach gets the welcome and the relay's features as soon as they are there; it must hand the link on.
 * @throws TunlError the relay's refusal, RELAY_LOST, RELAY_TIMEOUT, RELAY_TOO_OLD/NEW, or SESSION_PROOF when the relay cannot
 * prove itself.
 */
export function greetRelay(
  link: Link,
  options: AgentHandshake,
  attach: (welcome: Welcome, features: readonly string[]) => void,
): Promise<Welcome> {
  return new Promise((resolve, reject) => {
    const nonce = newNonce();
    /** What may come next from the relay; a refusal may come at any time. */
    let due: 'challenge' | 'welcome' = 'challenge';
    let features: readonly string[] = [];
    const stop = () => fail(new TunlError('ABORTED'));
    const leave = () => {
      if (due === 'challenge') return stop();
      settle();
      reject(new TunlError('ABORTED'));
      link.handTo(NOBODY);
      link.endWith('CLOSED', 'closed');
    };
    let offered: ResumeOffer | undefined;
    // The link's own watch is over silence: a relay that answers pings and never comes to the point is not silent.
    const {clock = systemClock, timeoutMs = ANSWER_TIMEOUT_MS} = options;
    const timer = clock.after(timeoutMs, () => {
      const reason = `No ${due} from the relay within ${timeoutMs / 1000} s.`;
      fail(new TunlError('RELAY_TIMEOUT', {reason}));
    });
    const settle = () => {
      timer.cancel();
      options.signal?.removeEventListener('abort', stop);
      options.leaving?.removeEventListener('abort', leave);
      offered?.settleResume();
      offered = undefined;
    };
    const fail = (error: TunlError) => {
      settle();
      // Before the link ends: a carrier may tell of its end at once, and the first reason is the one that counts.
      reject(error);
      link.destroy();
    };
    const onMessage = (message: LinkMessage) => {
      const early = message.type === 'welcome' && due !== 'welcome';
      const late = message.type === 'challenge' && due !== 'challenge';
      if (early || late) {
        link.violate(`a ${message.type} message during the handshake, where a ${due} is due`);
        return;
      }
      switch (message.type) {
        case 'challenge':
          due = 'welcome';
          features = message.features ?? [];
          if (message.protocol !== PROTOCOL_VERSION) {
            const code = message.protocol < PROTOCOL_VERSION ? 'RELAY_TOO_OLD' : 'RELAY_TOO_NEW';
            fail(new TunlError(code, {fromRelay: true}));
            return;
          }
          if (typeof options.resume?.received === 'object') {
            offered = options.resume.received;
            link.told = offered.offerResume();
          } else link.told = options.resume?.received;
          try {
            link.sendMessage(hello(options, link, nonce, message));
          } catch (error) {
            fail(toTunlError(error, 'RELAY_LOST'));
          }
          return;
        case 'welcome': {
          const ticket = options.resume?.ticket;
          if (ticket !== undefined && !ticket.confirm(message.epoch, message.received, message.proof ?? '')) {
            fail(
              new TunlError('SESSION_PROOF', {reason: 'the relay could not prove that it has this session'}),
            );
            return;
          }
          if (ticket === undefined && message.secret === undefined) {
            link.violate('a new session without a secret');
            return;
          }
          attach(message, features);
          settle();
          resolve(message);
          return;
        }
        case 'refused':
        case 'close': {
          const code = isErrorCode(message.code) ? message.code : 'RELAY_LOST';
          const retryAfterMs = message.type === 'refused' ? message.retryAfterMs : undefined;
          fail(
            new TunlError(code, {
              reason: message.message,
              fromRelay: true,
              ...(retryAfterMs === undefined ? {} : {retryAfterMs}),
            }),
          );
          return;
        }
        default:
          link.violate(`a ${message.type} message during the handshake`);
      }
    };
    link.start(
      listen(link, onMessage, (error) => {
        settle();
        reject(error instanceof TunlError ? error : new TunlError('RELAY_LOST', {cause: error}));
      }),
    );
    if (options.signal?.aborted) stop();
    else {
      options.signal?.addEventListener('abort', stop, {once: true});
      options.leaving?.addEventListener('abort', leave, {once: true});
    }
  });
}

function hello(options: AgentHandshake, link: Link, agentNonce: string, challenge: Challenge): Hello {
  const {resume, features} = options;
  const {carrier, told = 0} = link;
  const relayNonce = challenge.nonce;
  return {
    type: 'hello',
    software: options.software,
    nonce: agentNonce,
    ...identity(options.identify, challenge, {carrier, relayNonce, agentNonce}),
    ...(features !== undefined && {features}),
    ...(resume !== undefined && {resume: resume.ticket.ask(agentNonce, relayNonce, told)}),
  };
}

function identity(
  identify: Identify | undefined,
  challenge: Challenge,
  asked: Parameters<Identify>[0],
): Pick<Hello, 'identity'> {
  if (identify === undefined) return {};
  if (challenge.identify !== undefined) return {identity: identify(asked)};
  if (!challenge.features?.includes(FEATURE_IDENTITY)) return {};
  try {
    return {identity: identify(asked)};
  } catch {
    // The token says who this is; a key that cannot be read, or a link that cannot carry its proof, is no reason to stay away.
    return {};
  }
}

export interface RelayHandshake {
  software: string;
  /** What agents are told that this relay does besides the first form of the protocol. */
  features?: readonly string[];
  /** The relay's own name, when the agent has to prove with its key who it is. */
  identify?: string;
  /** How long the agent may take to say hello, ms. */
  timeoutMs: number;
  clock: Pick<Clock, 'after'>;
  /** Decides what to do with a hello; sends welcome or refused itself and hands the link on. */
  onHello(hello: Hello, relayNonce: string): void;
  onFailed(error: Error | undefined): void;
}

/** The relay's side, on a link that was not started yet. */
export function greetAgent(link: Link, options: RelayHandshake): void {
  const nonce = newNonce();
  let late: TunlError | undefined;
  const timer = options.clock.after(options.timeoutMs, () => {
    late = new TunlError('RELAY_TIMEOUT', {reason: `no hello within ${options.timeoutMs / 1000} s`});
    // Not a violation: a machine that was asleep, or a slow link, may do better the next time.
    link.endWith(late.code, late.message);
  });
  let greeted = false;
  const onMessage = (message: LinkMessage) => {
    if (message.type !== 'hello' || greeted) {
      link.violate(`a ${message.type} message where ${greeted ? 'nothing' : 'a hello'} is due`);
      return;
    }
    greeted = true;
    timer.cancel();
    options.onHello(message, nonce);
  };
  link.start(
    listen(link, onMessage, (error) => {
      timer.cancel();
      options.onFailed(late ?? error);
    }),
  );
  const {software, identify, features} = options;
  link.sendMessage({
    type: 'challenge',
    protocol: PROTOCOL_VERSION,
    software,
    nonce,
    ...(identify !== undefined && {identify}),
    ...(features !== undefined && {features}),
  });
}

/** Says no to a hello; the link ends. */
export function refuseHello(link: Link, code: string, message: string, retryAfterMs?: number): void {
  link.sendMessage({type: 'refused', code, message, ...(retryAfterMs === undefined ? {} : {retryAfterMs})});
  link.end();
}
