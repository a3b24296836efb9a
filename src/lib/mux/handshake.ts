// The first messages on a link: they name the session, decide whether it continues, and carry the proofs. Then the session
// takes the link.

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

/** Turns the events of a link without a session into messages and one end. Session bytes are a violation here. */
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

/** The part of a session that the handshake needs. */
export interface ResumeOffer {
  /** Returns the count of session bytes received here; called when the hello is written. */
  offerResume(): number;
  /** Called when the handshake has ended, with or without a session. */
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
   * The session to continue, and the count of bytes received here. A number is correct only when the old link is gone,
   * so that it cannot change; while the old link may be alive this must be the session itself.
   */
  resume?: {ticket: AgentTicket; received: number | ResumeOffer};
  /**
   * Proves the agent's identity with its own key. A relay that asks for the proof needs it. A relay that has seen a token may
   * note the key as well; there an agent that cannot prove its key continues without.
   */
  identify?: Identify;
  /** Additions to the first form of the protocol that this agent announces to the relay. */
  features?: readonly string[];
  signal?: AbortSignal;
  /** Aborted when the agent ends. A relay that may have begun a session by then is told to end it. */
  leaving?: AbortSignal;
  clock?: Clock;
  /** How long the relay may take from the upgrade to its answer, ms. Default 10,000. */
  timeoutMs?: number;
}

/** The same time that the relay waits for a hello. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * The agent's side, on a link that was not started yet. The caller attaches the session in the same turn in which this
 * resolves: `attach` runs before any later byte is read.
 *
 * @param attach gets the welcome and the relay's features as soon as they arrive; it must hand the link over.
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
    /** The message that the relay must send next; a refusal may come at any time. */
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
    // The link itself only watches for silence. A relay that answers pings and sends no message needs this timer.
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
      // Reject before the link ends: a carrier may report its end at once, and only the first reason counts.
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
              new TunlError('SESSION_PROOF', {
                reason: 'The relay could not prove that it knows this session.',
              }),
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
    // The token already says who this agent is, so an unreadable key, or a link that cannot carry its proof, is no error.
    return {};
  }
}

export interface RelayHandshake {
  software: string;
  /** Additions to the first form of the protocol that this relay announces to agents. */
  features?: readonly string[];
  /** The relay's own name, when the agent must prove its identity with its key. */
  identify?: string;
  /** How long the agent may take to send hello, ms. */
  timeoutMs: number;
  clock: Pick<Clock, 'after'>;
  /** Decides about a hello: sends welcome or refused itself and passes the link on. */
  onHello(hello: Hello, relayNonce: string): void;
  onFailed(error: Error | undefined): void;
}

/** The relay's side, on a link that was not started yet. */
export function greetAgent(link: Link, options: RelayHandshake): void {
  const nonce = newNonce();
  let late: TunlError | undefined;
  const timer = options.clock.after(options.timeoutMs, () => {
    late = new TunlError('RELAY_TIMEOUT', {reason: `no hello within ${options.timeoutMs / 1000} s`});
    // This is no violation: the agent's machine may have been asleep, or the link slow.
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

/** Refuses a hello; the link ends. */
export function refuseHello(link: Link, code: string, message: string, retryAfterMs?: number): void {
  link.sendMessage({type: 'refused', code, message, ...(retryAfterMs === undefined ? {} : {retryAfterMs})});
  link.end();
}
