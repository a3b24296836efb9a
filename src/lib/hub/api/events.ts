// Server-sent events and logs: streams to clients, each bounded in what it may leave unread.

import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Clock, Timer} from '../../core/clock.js';
import type {SessionEvent, SessionView} from '../session.js';
import type {Sessions} from '../sessions.js';
import {HttpProblem} from './problem.js';

const MOST_STREAMS = 256;
const MOST_OF_ONE_USER = 16;
const MOST_UNREAD = 256 * 1024;
/** A comment this often keeps proxies from closing the connection, ms. */
const ALIVE_EVERY_MS = 25_000;

export interface EventStream {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly userId: string;
  /** Undefined: of all sessions that `sees` allows. */
  readonly of: string | undefined;
  readonly sees: (ownerId: string) => boolean;
  /** The session for this client. */
  readonly show: (view: SessionView) => SessionView;
}

export class EventStreams {
  readonly #sessions: Sessions;
  readonly #open = new Map<ServerResponse, EventStream>();
  readonly #clock: Clock;
  readonly #stop: () => void;
  #timer: Timer | undefined;

  constructor(sessions: Sessions, clock: Clock) {
    this.#sessions = sessions;
    this.#clock = clock;
    this.#stop = sessions.onEvent((event, ownerId) => this.#tell(event, ownerId));
    this.#keepAlive();
  }

  /** @throws HttpProblem 503, 429 */
  add(stream: EventStream): void {
    const {res, userId, of, sees, req} = stream;
    const own = [...this.#open.values()].filter((each) => each.userId === userId).length;
    if (this.#open.size >= MOST_STREAMS)
      throw new HttpProblem(503, 'HUB_FULL', 'Too many clients listen to events.');
    if (own >= MOST_OF_ONE_USER)
      throw new HttpProblem(429, 'HUB_QUOTA', 'This user listens to events too often.');
    res.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store'});
    if (req.method === 'HEAD') {
      res.end();
      return;
    }
    this.#open.set(res, stream);
    res.on('error', () => {});
    res.on('close', () => this.#open.delete(res));
    res.write('retry: 2000\n\n');
    // The state now, so that nothing is missed between a list and the first event.
    const views = of === undefined ? this.#sessions.list() : [this.#sessions.view(of)];
    for (const session of views) {
      const owner = session && this.#sessions.ownerOf(session.id);
      if (session !== undefined && owner !== undefined && sees(owner))
        write(stream, {type: 'state', session});
    }
  }

  close(): void {
    this.#stop();
    this.#timer?.cancel();
    for (const res of this.#open.keys()) res.destroy();
    this.#open.clear();
  }

  #tell(event: SessionEvent, ownerId: string): void {
    const id = event.type === 'gone' ? event.id : event.session.id;
    for (const stream of this.#open.values()) {
      const {res, of, sees} = stream;
      if (!sees(ownerId) || (of !== undefined && of !== id)) continue;
      if (res.writableLength > MOST_UNREAD) res.destroy();
      else write(stream, event);
    }
  }

  #keepAlive(): void {
    this.#timer = this.#clock.after(ALIVE_EVERY_MS, () => {
      for (const res of this.#open.keys()) res.write(':\n\n');
      this.#keepAlive();
    });
  }
}

function write({res, show}: EventStream, event: SessionEvent): void {
  const {type, ...data} = event.type === 'gone' ? event : {...event, session: show(event.session)};
  res.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}
