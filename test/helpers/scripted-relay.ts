// A relay in memory that keeps to the protocol, and says at the moment that a test chooses what the test wants said.
import {type Clock, systemClock} from '../../src/lib/core/clock.js';
import {BlockPool} from '../../src/lib/mux/blocks.js';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import {greetAgent, refuseHello} from '../../src/lib/mux/handshake.js';
import {Link} from '../../src/lib/mux/link.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {RelayTicket} from '../../src/lib/mux/resume-ticket.js';
import {Session} from '../../src/lib/mux/session.js';
import {parseAgentMessage} from '../../src/lib/protocol/control-messages.js';

export class ScriptedRelay {
  /** Called instead of a connection, once each. */
  readonly dials: (() => Promise<Carrier>)[] = [];
  /** Codes with which the next hellos, and the next binds, are refused. */
  readonly refusals: string[] = [];
  readonly bindRefusals: string[] = [];
  /** Connections that were asked for. */
  dialled = 0;
  /** Binds that were granted. */
  bound = 0;
  /** Called with each new session. */
  onSession: (session: Session) => void = () => {};
  session: Session | undefined;
  readonly #clock: Clock;

  /** @param clock that of the agent, where the test moves it: what the relay rests for must not take the agent's seconds. */
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

  /** Breaks the link of the moment. */
  cut(): void {
    this.session?.link?.destroy();
  }

  #accept(link: Link): void {
    greetAgent(link, {
      software: 'relay',
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
    if (message.type !== 'bind') return;
    const {request} = message;
    const code = this.bindRefusals.shift();
    if (code !== undefined) {
      session.sendControl({type: 'bind-refused', request, code, message: 'told so'});
      return;
    }
    this.bound += 1;
    session.sendControl({type: 'bound', request, tunnel: 1, epoch: 1, host: 'demo.r1.test', port: 443});
  }
}
