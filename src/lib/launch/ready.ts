// Probes a program until it answers: often while nothing listens, rarely once it has seen a probe. The first valid answer
// counts.

import {connect, type Socket} from 'node:net';
import {addAbortSignal} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {request} from '../core/node-http.js';
import type {Readiness} from './program.js';

/** The address at which a program answered. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** The result of one probe. `silent`: something listens and does not answer; `refused`: nothing listens. */
export type Answer =
  | {readonly kind: 'ready'}
  | {readonly kind: 'refused'}
  | {readonly kind: 'silent'}
  | {readonly kind: 'wrong'; readonly what: string};

const FIRST_WAIT_MS = 8;
const LONGEST_WAIT_MS = 100;
// A probe that the program has seen may be a line in its log, so these waits grow further.
const LONGEST_WAIT_SEEN_MS = 1_500;
// The limit is long: a dev server may compile for seconds before its first answer, and a new request would make it start again.
const ANSWER_TIMEOUT_MS = 10_000;

/** Connects to a port that is not one of this machine. */
export type Dial = (port: number, signal: AbortSignal) => Promise<Socket>;

/** One probe. Never rejects. @param about.dial as in `UntilReady` */
export function ask(
  readiness: Readiness,
  place: Place,
  {signal, dial}: {signal?: AbortSignal | undefined; dial?: Dial | undefined} = {},
): Promise<Answer> {
  return dial === undefined
    ? askBy(readiness, place, {signal})
    : askThere(readiness, place, {signal: signal ?? new AbortController().signal, dial});
}

/** The same through a connection that somebody else makes. */
async function askThere(
  readiness: Readiness,
  place: Place,
  {signal, dial}: {signal: AbortSignal; dial: Dial},
): Promise<Answer> {
  try {
    const until = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const socket = await dial(place.port, until);
    socket.on('error', () => {});
    addAbortSignal(signal, socket);
    return await askBy(readiness, place, {signal, socket});
  } catch {
    return {kind: 'refused'};
  }
}

interface Way {
  readonly signal: AbortSignal | undefined;
  /** Connected. Default: a new connection to the place. */
  readonly socket?: Socket;
}

function askBy(readiness: Readiness, place: Place, way: Way): Promise<Answer> {
  return readiness.kind === 'http' ? askHttp(readiness, place, way) : askTcp(readiness, place, way);
}

function askHttp(
  readiness: Extract<Readiness, {kind: 'http'}>,
  place: Place,
  {signal, socket: own}: Way,
): Promise<Answer> {
  return new Promise((resolve) => {
    let connected = own !== undefined;
    own?.setTimeout(ANSWER_TIMEOUT_MS);
    const question = request({
      host: place.host,
      port: place.port,
      path: readiness.path,
      headers: readiness.headers ?? {},
      // An agent would connect by itself.
      ...(own === undefined ? {agent: false} : {createConnection: () => own}),
      timeout: ANSWER_TIMEOUT_MS,
      ...(signal && {signal}),
    });
    question.once('socket', (socket) => socket.once('connect', () => (connected = true)));
    question.once('timeout', () => question.destroy());
    question.once('error', () => {});
    question.once('close', () => resolve({kind: connected ? 'silent' : 'refused'}));
    question.once('response', (response) => {
      const status = response.statusCode ?? 0;
      if (readiness.accept(status)) resolve({kind: 'ready'});
      else resolve({kind: 'wrong', what: `status ${status} to GET ${readiness.path}`});
      question.destroy();
    });
    question.end();
  });
}

function askTcp(
  readiness: Exclude<Readiness, {kind: 'http'}>,
  place: Place,
  {signal, socket: own}: Way,
): Promise<Answer> {
  return new Promise((resolve) => {
    const wanted = readiness.kind === 'banner' ? readiness.start : '';
    let connected = own !== undefined;
    let seen = '';
    const socket = own ?? connect({host: place.host, port: place.port, ...(signal && {signal})});
    const judge = () => {
      if (seen.length < wanted.length && wanted.startsWith(seen)) return;
      resolve(
        seen.startsWith(wanted) ? {kind: 'ready'} : {kind: 'wrong', what: 'something else than expected'},
      );
      socket.destroy();
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.once('connect', () => {
      connected = true;
      judge();
    });
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      judge();
    });
    socket.once('error', () => {});
    socket.once('close', () => resolve({kind: connected ? 'silent' : 'refused'}));
    if (own !== undefined) judge();
  });
}

export interface UntilReady {
  readonly readiness: Readiness;
  /** Returns the places to probe, in each round. Of several places the first in order that answers counts. */
  readonly places: () => Promise<readonly Place[]> | readonly Place[];
  /** Checks the place that answered: another process may have taken it since `places` named it. */
  readonly confirms: (place: Place) => Promise<boolean> | boolean;
  readonly signal: AbortSignal;
  /** Default: the places are on this machine. */
  readonly dial?: Dial | undefined;
  /** Called after each round in which nothing was ready. */
  readonly onMissed?: (answer: Answer) => void;
  /** For tests. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

/** Resolves with the place that answered; undefined when the signal aborted first. */
export async function untilReady(options: UntilReady): Promise<Place | undefined> {
  const {readiness, signal, dial} = options;
  const askOnce = (place: Place) => ask(readiness, place, {signal, dial});
  const pause = options.pause ?? ((ms: number) => sleep(ms, undefined, {signal}).catch(() => {}));
  let seen = false;
  const onMissed = (answer: Answer) => {
    seen ||= answer.kind !== 'refused';
    options.onMissed?.(answer);
  };
  for (let waitMs = FIRST_WAIT_MS; !signal.aborted; ) {
    const places = await options.places();
    const ready = await firstReady(askOnce, places, signal, onMissed);
    if (ready && (await options.confirms(ready))) return ready;
    await pause(waitMs);
    waitMs = Math.min(waitMs * 1.5, seen ? LONGEST_WAIT_SEEN_MS : LONGEST_WAIT_MS);
  }
  return undefined;
}

/** All places are probed at once, so that a place that hangs does not delay another one. */
function firstReady(
  askOnce: (place: Place) => Promise<Answer>,
  places: readonly Place[],
  signal: AbortSignal,
  onMissed: ((answer: Answer) => void) | undefined,
): Promise<Place | undefined> {
  return new Promise((resolve) => {
    let open = places.length;
    if (open === 0) resolve(undefined);
    for (const place of places) {
      void askOnce(place).then((answer) => {
        open -= 1;
        if (answer.kind === 'ready') resolve(place);
        // An interrupted probe is useful only if it had a connection.
        else if (!signal.aborted || answer.kind !== 'refused') onMissed?.(answer);
        if (open === 0) resolve(undefined);
      });
    }
  });
}
