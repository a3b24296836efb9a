// A gate decides about each HTTP request of a visitor: in, or an answer in place of the upstream's.

import type {VisitorFacts} from '../upstream.js';
import type {HeaderList} from './headers.js';

/** A request as a gate sees it: checked, and the same for HTTP/1 and HTTP/2. */
export interface GateRequest {
  readonly method: string;
  /** Path and query: it begins with `/`, or is `*`. */
  readonly path: string;
  /** The tunnel's own host, with the port if the visitor gave one. */
  readonly authority: string;
  /** Without pseudo-headers. */
  readonly headers: HeaderList;
  /** It asks for another protocol on this connection, such as WebSocket. */
  readonly isUpgrade: boolean;
  /** A person opens a page with it: an answer may be a page or a redirect. */
  readonly isNavigation: boolean;
  /** Undefined for a dial without a visitor of the relay. */
  readonly visitor: VisitorFacts | undefined;
}

/** A right that can end while a visitor uses it. */
export interface Stay {
  readonly isOver: boolean;
  /** Calls the listener when the right has ended, at once if it has already. Returns a function that removes the listener. */
  onOver(listener: () => void): () => void;
}

/** The visitor is in. What is absent stays as it is in the request. */
export interface Pass {
  /** The headers without what was meant for the gate. */
  readonly headers?: HeaderList;
  readonly path?: string;
  /** The visitor's name for the upstream: the header `Tunl-Visitor`. */
  readonly visitorName?: string;
  /** When it ends, the request is cut off, and so is its WebSocket. */
  readonly stay?: Stay;
  /** Cookies for the visitor, each as the value of a `Set-Cookie` header. */
  readonly setCookies?: readonly string[];
}

export interface GateAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
}

export type Decision = {readonly pass: Pass} | {readonly answer: GateAnswer};

/** The public address of the tunnel behind a gate. */
export interface GateAddress {
  /** Host and port: no other tunnel has them now. */
  readonly place: string;
  /** `https://host`, with `:port` only when it is not 443. */
  readonly url: string;
}

export interface Gate {
  /**
   * Must not throw, and decides soon: the visitor waits. Gates are asked in order, each with what the one before has left of
   * the request; the first answer ends it.
   */
  decide(request: GateRequest): Decision | Promise<Decision>;
  /** The tunnel has its address. Called once, before the first request. */
  opened?(at: GateAddress): void;
  /** Ends timers and rights. */
  close?(): void;
}
