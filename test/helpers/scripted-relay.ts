// A relay in memory that follows the protocol, and sends messages when a test asks for them.
import {type Clock, systemClock} from '../../src/lib/core/clock.js';
import {BlockPool} from '../../src/lib/mux/blocks.js';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import {greetAgent, refuseHello} from '../../src/lib/mux/handshake.js';
import {Link} from '../../src/lib/mux/link.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {RelayTicket} from '../../src/lib/mux/resume-ticket.js';
import {Session} from '../../src/lib/mux/session.js';
import {type AgentMessage, parseAgentMessage} from '../../src/lib/protocol/control-messages.js';

export class ScriptedRelay {
  /** Each is called once, in place of a connection. */
  readonly dials: (() => Promise<Carrier>)[] = [];
  /** Codes that refuse the next hellos, and the next binds. */
  readonly refusals: string[] = [];
  readonly bindRefusals: string[] = [];
  /** What it announces to the next links. */
  features: readonly string[] = [];
  /** All control messages. */
  readonly asked: AgentMessage[] = [];
  /** The number of connections requested. */
  dialled = 0;
  /** The number of binds granted. */
  bound = 0;
  /** Called with each new session. */
  onSession: (session: Session) => void = () => {};
  /** Called right after each bind that it grants: what it sends now arrives in the same read. */
  onBound: (session: Session) => void = () => {};
  session: Session | undefined;
  readonly #clock: Clock;

  /** @param clock the agent's clock, when the test moves it: the relay's pauses must not take time of the agent. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  readonly dial = (): Promise<Carrier> => {
    this.dialled += 1;
    const instead = this.dials.shift();
    if (instead !== undefined) return instead();
    const [mine, theirs] = createPipe();
    this.#accept(new Link(theirs, {clock: this.#clock}));
    return Promise.resolve(mine);
  };

  /** Breaks the current link. */
  cut(): void {
    this.session?.link?.destroy();
  }

  #accept(link: Link): void {
    greetAgent(link, {
      software: 'relay',
      features: this.features,
      timeoutMs: 10_000,
      clock: this.#clock,
      onHello: (hello) => {
        const code = this.refusals.shift();
        if (code !== undefined) refuseHello(link, code, 'told so');
        else if (hello.resume !== undefined) refuseHello(link, 'SESSION_UNKNOWN', 'not known');
        else this.#begin(link);
      },
      onFailed: () => {},
    });
  }

  #begin(link: Link): void {
    const {id, epoch, firstSecret} = new RelayTicket();
    const session: Session = new Session({
      role: 'relay',
      pool: new BlockPool(),
      clock: this.#clock,
      sink: {
        onOpen: (stream) => stream.refuse('KIND_UNKNOWN'),
        onControl: (payload) => this.#onControl(session, payload),
        onEnded: () => {},
      },
    });
    this.session = session;
    const welcome = {id, epoch, secret: firstSecret, received: 0, resumeWindowMs: 60_000};
    link.sendMessage({type: 'welcome', ...welcome});
    session.attach(link, 0);
    this.onSession(session);
  }

  #onControl(session: Session, payload: Buffer): void {
    const message = parseAgentMessage(payload);
    this.asked.push(message);
    if (message.type !== 'bind') return;
    const {request} = message;
    const code = this.bindRefusals.shift();
    if (code !== undefined) {
      session.sendControl({type: 'bind-refused', request, code, message: 'told so'});
      return;
    }
    this.bound += 1;
    session.sendControl({type: 'bound', request, tunnel: 1, epoch: 1, host: 'demo.r1.test', port: 443});
    this.onBound(session);
  }
}
