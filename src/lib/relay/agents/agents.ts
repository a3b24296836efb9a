// The sessions of this relay's agents: their handshakes, their resumes, and their ends.

import {atMost} from '../../core/clock.js';
import {ERRORS, type ErrorCode, isErrorCode, type TunlError} from '../../core/errors.js';
import type {Carrier} from '../../mux/carrier.js';
import {greetAgent, refuseHello} from '../../mux/handshake.js';
import {Link} from '../../mux/link.js';
import {RelayTicket} from '../../mux/resume-ticket.js';
import {Session} from '../../mux/session.js';
import {Turns} from '../../mux/work.js';
import {type AgentMessage, parseAgentMessage} from '../../protocol/control-messages.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {
  FEATURE_CIDR,
  FEATURE_IDENTITY,
  FEATURE_PROBE,
  FEATURE_TICKETS,
  type Hello,
} from '../../protocol/link-messages.js';
import {FEATURE_RENDEZVOUS} from '../../protocol/rendezvous.js';
import {provenKey} from '../access/agent-key.js';
import {type Principal, unlimitedPrincipal, withKey} from '../access/principal.js';
import {sessionName} from '../events.js';
import type {Part} from '../part.js';
import type {Caller} from '../site/own-site.js';
import type {AgentSettings, AgentsOptions} from './agents-options.js';
import {Binds} from './binds.js';
import {type Expire, expireInTurns} from './expire.js';
import {COME_BACK_MS, type Destination, goodbye, LEAVING} from './goodbye.js';
import {addressOf, isOwn, type Member, refusalOf, UNPROVEN} from './member.js';
import type {Opener} from './opened-streams.js';
import {SessionCounts} from './session-counts.js';

/** From the upgrade to the hello, ms. */
const HELLO_TIMEOUT_MS = 10_000;

/** How long agents may take for bytes of visitors who have left, and for the goodbye. Agents without a link get no time. */
const LAST_BYTES_MS = 5_000;
const LAST_WORDS_MS = 1_000;

export class Agents implements Part {
  #options: AgentsOptions;
  readonly #members = new Map<string, Member>();
  readonly #counts: SessionCounts;
  readonly #binds: Binds;
  /** The input of all agents is processed one link after the other. */
  readonly #turns: Turns;
  readonly #expire: Expire;
  /** Where agents go, once this relay is shutting down. */
  #leaving: Destination | undefined;

  constructor(options: AgentsOptions) {
    this.#options = options;
    this.#counts = options.sessionCounts ?? new SessionCounts();
    this.#binds = new Binds({...options, sessionsOf: (owner) => this.#counts.of(owner)});
    this.#turns = new Turns(options.clock);
    this.#expire = expireInTurns(options.clock);
    options.load.add({connections: () => this.size});
  }

  get size(): number {
    return this.#members.size;
  }

  *sessions(): Generator<Session> {
    for (const {session} of this.#members.values()) yield session;
  }

  sessionOf = (id: string): Session | undefined => this.#members.get(id)?.session;

  get members(): Iterable<Member> {
    return this.#members.values();
  }

  /** Ends the sessions for which this holds, for good. Returns their number. */
  end(isMeant: (member: Member) => boolean, code: ErrorCode, message: string): number {
    const meant = [...this.#members.values()].filter(isMeant);
    for (const {session} of meant) session.close(code, message);
    return meant.length;
  }

  /** The principal that may resume a session; `elsewhere`: another process of this relay knows. Undefined: there is no such session. */
  mayResume = (sessionId: string): Principal | 'elsewhere' | undefined => {
    const principal = this.#members.get(sessionId)?.opener.principal;
    if (principal !== undefined) return principal.ended === undefined ? principal : undefined;
    return this.#options.worker?.workerOf(sessionId) === undefined ? undefined : 'elsewhere';
  };

  /** An agent's upgrade has succeeded. */
  accept = (carrier: Carrier, {principal: byToken, ticket, recognised, entered, strayed}: Caller): void => {
    const {clock, domain, software, events} = this.#options;
    const link = new Link(carrier, {clock, turns: this.#turns});
    greetAgent(link, {
      software,
      clock,
      timeoutMs: HELLO_TIMEOUT_MS,
      ...(byToken === undefined && ticket === undefined && {identify: domain}),
      features: [
        ...this.#options.streams.kinds,
        FEATURE_IDENTITY,
        FEATURE_CIDR,
        FEATURE_PROBE,
        FEATURE_TICKETS,
        FEATURE_RENDEZVOUS,
      ],
      onHello: (hello, relayNonce) => {
        if (ticket !== undefined) {
          if (hello.resume?.id !== ticket)
            refuseHello(link, 'SESSION_UNKNOWN', 'Another session was announced.');
          else if (this.#resume(link, byToken, hello, {relayNonce, strayed})) {
            recognised();
            entered();
          }
          return;
        }
        // A session keeps the key of its first handshake.
        const isNew = hello.resume === undefined;
        const keyId =
          byToken === undefined || isNew ? provenKey(hello, {domain, relayNonce, carrier}) : undefined;
        const principal =
          byToken === undefined ? keyId && unlimitedPrincipal(keyId, keyId) : withKey(byToken, keyId);
        if (!principal) {
          refuseHello(link, 'TOKEN_WRONG', UNPROVEN);
          return;
        }
        const refusal = refusalOf(principal, this.#options.blocks);
        if (refusal !== undefined) {
          refuseHello(link, ...refusal);
          return;
        }
        recognised();
        if (isNew) {
          // It has come through the door before that closed.
          if (this.#leaving !== undefined) return refuseHello(link, 'RELAY_BUSY', LEAVING, COME_BACK_MS);
          const full = this.#options.sessions?.refusalOf(principal, this.#counts.of(principal.owner));
          if (full !== undefined) return refuseHello(link, ...full);
          entered();
          this.#begin(link, {principal, features: hello.features ?? []}, hello.software);
        } else if (this.#resume(link, principal, hello, {relayNonce, strayed})) entered();
      },
      onFailed: (error) =>
        events.emit({type: 'handshake-failed', from: carrier.label, reason: error?.message}),
    });
  };

  /** Sessions keep the resume window that they began with. */
  reload({resumeWindowMs, maxTunnelsPerAgent, maxLeasesPerOwner, successors}: AgentSettings): void {
    this.#options = {...this.#options, resumeWindowMs, maxTunnelsPerAgent, maxLeasesPerOwner, successors};
    this.#binds.reload({maxTunnelsPerAgent, maxLeasesPerOwner});
  }

  drain(): void {
    const {comeBackWithinMs, successors: relays} = this.#options;
    this.#leaving = {afterMs: () => Math.random() * comeBackWithinMs, relays};
    this.sendAway(LEAVING, this.#leaving);
  }

  async close(until: number): Promise<void> {
    const {clock} = this.#options;
    const leftMs = until - clock.now();
    // A visitor counts as gone when its last bytes were read; they may still be under way to the agent.
    if (leftMs > 0) await atMost(clock, Math.min(leftMs, LAST_BYTES_MS), this.#delivered());
    // If the process ended earlier, the last messages would be lost.
    await atMost(clock, LAST_WORDS_MS, this.closeAll('RELAY_LOST', 'The relay went away.'));
    this.#binds.releaseRest();
  }

  /** Tokens have ended, or their rights have changed: sessions end, or lose tunnels. */
  recheck(): void {
    for (const member of [...this.#members.values()]) {
      const {ended: code, owner, tokenId} = member.opener.principal;
      if (code === undefined) {
        this.#binds.recheck(member);
        continue;
      }
      const session = sessionName(member.ticket.id);
      this.#options.events.emit({type: 'token-ended', session, code, owner, tokenId});
      member.session.close(code, ERRORS[code].sentence);
    }
  }

  /** Tells every agent to come back later, to one of `relays` if there are any; no connection is cut yet. */
  sendAway(message: string, to: Destination): void {
    for (const session of this.sessions()) goodbye(session, message, to);
  }

  /** Resolves when every agent has acknowledged everything that was sent to it. */
  async #delivered(): Promise<void> {
    await Promise.all([...this.#members.values()].map(({session}) => session.delivered()));
  }

  /** Ends every session; `code` and `message` tell the agents why. Resolves when their links are closed. */
  async closeAll(code: string, message: string): Promise<void> {
    const sessions = [...this.#members.values()].map(({session}) => session);
    const gone = sessions.map(async ({link}) => await link?.gone());
    for (const session of sessions) session.close(code, message);
    await Promise.all(gone);
  }

  #begin(link: Link, agent: Omit<Opener, 'session'>, software: string): void {
    const {resumeWindowMs, events, worker} = this.#options;
    const ticket = new RelayTicket(worker?.newSessionId());
    const name = sessionName(ticket.id);
    const {owner, tokenId} = agent.principal;
    const session: Session = new Session({
      role: 'relay',
      pool: this.#options.pool,
      clock: this.#options.clock,
      windowBudget: this.#options.windowBudget,
      replayBudget: this.#options.replayBudget,
      resumeWindowMs,
      keepForReplay: this.#options.keepForReplay,
      onExpiry: this.#expire,
      sink: {
        onOpen: (stream, about) => this.#options.streams.offer(stream, about, member.opener),
        onControl: (payload) => this.#onControl(member, payload),
        onDetached: (error) => events.emit({type: 'agent-away', session: name, reason: error?.message}),
        onEnded: (error) => this.#onEnded(member, error),
      },
    });
    const opener = {...agent, session: ticket.id};
    const about = {software, from: addressOf(link.carrier.label), since: this.#options.clock.now()};
    const member: Member = {session, ticket, opener, ...about, tunnels: new Map(), binding: 0};
    this.#members.set(ticket.id, member);
    this.#counts.add(owner, 1);
    link.sendMessage({
      type: 'welcome',
      id: ticket.id,
      secret: ticket.firstSecret,
      epoch: ticket.epoch,
      received: 0,
      resumeWindowMs,
      ...this.#worker,
    });
    session.attach(link, 0);
    events.emit({type: 'agent-connected', session: name, owner, tokenId, from: link.carrier.label});
  }

  /** False: the resume was refused. */
  #resume(
    link: Link,
    principal: Principal | undefined,
    hello: Hello,
    {relayNonce, strayed}: {relayNonce: string; strayed: Caller['strayed']},
  ): boolean {
    const {resume} = hello;
    if (resume === undefined) return false;
    const member = this.#members.get(resume.id);
    if (member === undefined || !isOwn(member, principal)) {
      const elsewhere = this.#options.worker?.workerOf(resume.id);
      if (elsewhere !== undefined) {
        strayed?.(elsewhere);
        refuseHello(link, 'RELAY_BUSY', 'Another process of this relay has this session.', 0);
        return false;
      }
      refuseHello(link, 'SESSION_UNKNOWN', 'This session is not known here.');
      return false;
    }
    const facts = {epoch: resume.epoch, agentNonce: hello.nonce, relayNonce};
    const verdict = member.ticket.check(facts, resume.received, resume.proof);
    if (!verdict.ok) {
      // The session itself is untouched: a forged or late attempt must not be able to end it.
      refuseHello(link, verdict.code, 'This resume cannot be.');
      return false;
    }
    const received = member.session.receivedBytes;
    link.sendMessage({
      type: 'welcome',
      id: resume.id,
      epoch: verdict.epoch,
      received,
      resumeWindowMs: member.session.resumeWindowMs,
      proof: verdict.answer(received),
      ...this.#worker,
    });
    member.session.attach(link, resume.received);
    const session = sessionName(resume.id);
    this.#options.events.emit({type: 'agent-resumed', session, epoch: verdict.epoch});
    // Its streams may go on, but the goodbye to all was not for this link.
    if (this.#leaving !== undefined) goodbye(member.session, LEAVING, this.#leaving);
    return true;
  }

  #onControl(member: Member, payload: Buffer): void {
    let message: AgentMessage;
    try {
      message = parseAgentMessage(payload);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      member.session.onViolation(`a malformed control message: ${error.message}`);
      return;
    }
    this.#binds.onMessage(member, message);
  }

  get #worker(): {worker?: number} {
    const {worker} = this.#options;
    return worker === undefined ? {} : {worker: worker.number};
  }

  #onEnded(member: Member, error: TunlError | undefined): void {
    this.#members.delete(member.ticket.id);
    this.#counts.add(member.opener.principal.owner, -1);
    this.#binds.releaseAll(member);
    const code = isErrorCode(error?.code) ? error.code : undefined;
    this.#options.events.emit({type: 'agent-gone', session: sessionName(member.ticket.id), code});
  }
}
