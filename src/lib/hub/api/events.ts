// Server-sent events: streams to clients, each bounded in what it may leave unread.

import type {Clock} from '../../core/clock.js';
import type {SessionEvent, SessionView} from '../session.js';
import type {Sessions} from '../sessions.js';
import {type LongAnswer, type LongAnswers, writeAll, writeNow} from './long-answers.js';
import {HttpProblem} from './problem.js';

const MOST_STREAMS = 256;
const MOST_OF_ONE_USER = 16;

export interface EventStream extends LongAnswer {
  /** Undefined: of all sessions that `sees` allows. */
  readonly of: string | undefined;
  readonly sees: (ownerId: string) => boolean;
  /** The session for this client. */
  readonly show: (view: SessionView) => SessionView;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
}

export class EventStreams {
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  readonly #answers: LongAnswers;
  readonly #open = new Set<EventStream>();
  readonly #stop: () => void;
  /** By the id of a session: its last state of this turn. A queue that moves tells of each session many times. */
  readonly #waiting = new Map<string, {readonly event: SessionEvent; readonly ownerId: string}>();

  constructor(sessions: Sessions, clock: Clock, answers: LongAnswers) {
    this.#sessions = sessions;
    this.#clock = clock;
    this.#answers = answers;
    this.#stop = sessions.onEvent((event, ownerId) => this.#take(event, ownerId));
  }

  /** @throws HttpProblem 503, 429 */
  async add(stream: EventStream): Promise<void> {
    const {res, caller, of, sees, gone} = stream;
    if (res.destroyed || gone.aborted) return;
    const own = [...this.#open].filter((each) => each.caller.user.id === caller.user.id).length;
    if (this.#open.size >= MOST_STREAMS)
      throw new HttpProblem(503, 'HUB_FULL', 'Too many clients listen to events.');
    if (own >= MOST_OF_ONE_USER)
      throw new HttpProblem(429, 'HUB_QUOTA', 'This user listens to events too often.');
    res.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store'});
    if (res.req.method === 'HEAD') {
      res.end();
      return;
    }
    this.#open.add(stream);
    res.once('close', () => this.#open.delete(stream));
    this.#answers.add({res, caller, beat: ':\n\n'});
    res.write('retry: 2000\n\n');
    // The state now, so that nothing is missed between a list and the first event. Each view is as new as its writing.
    const ids = of === undefined ? this.#sessions.list().map(({id}) => id) : [of];
    for (const id of ids) {
      const session = this.#sessions.view(id);
      const owner = this.#sessions.ownerOf(id);
      if (session === undefined || owner === undefined || !sees(owner)) continue;
      if (!(await writeAll(stream, textOf(stream, {type: 'state', session}), gone))) return;
    }
  }

  close(): void {
    this.#stop();
    this.#waiting.clear();
  }

  #take(event: SessionEvent, ownerId: string): void {
    if (event.type !== 'state') {
      // A state that came before must be told before.
      this.#tellWaiting();
      this.#tell(event, ownerId);
      return;
    }
    if (this.#waiting.size === 0) this.#clock.soon(() => this.#tellWaiting());
    this.#waiting.set(event.session.id, {event, ownerId});
  }

  #tellWaiting(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const {event, ownerId} of waiting) this.#tell(event, ownerId);
  }

  #tell(event: SessionEvent, ownerId: string): void {
    const id = event.type === 'gone' ? event.id : event.session.id;
    for (const stream of this.#open) {
      const {of, sees} = stream;
      if (sees(ownerId) && (of === undefined || of === id)) writeNow(stream, textOf(stream, event));
    }
  }
}

function textOf({show}: EventStream, event: SessionEvent): string {
  const {type, ...data} = event.type === 'gone' ? event : {...event, session: show(event.session)};
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
