// One connection between two members: opened from here, or joined with what this member answers with.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {readOn} from '../bytes/reading.js';
import {resetSocket} from '../bytes/reset.js';
import type {SocketRead, SocketReads} from '../bytes/socket-reads.js';
import {Splice, type SpliceOptions} from '../bytes/splice.js';
import {StreamDuplex} from '../bytes/stream-duplex.js';
import {type ErrorCode, errorForPeer, systemCode, TunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';

/** The member that a connection comes from, and whose key is checked. */
export interface MemberId {
  readonly name: string;
  readonly address: string;
}

/**
 * Answers a connection from another member. A Duplex in place of a socket must have its `_read` on its prototype.
 *
 * @param reader makes the `onread` of the socket that is returned. Without it, the answer is read by its `data` events.
 * @throws to refuse. The other side hears the message of a TunlError, or the system's code; NOT_ALLOWED stays NOT_ALLOWED, and
 * everything else becomes UPSTREAM_REFUSED.
 */
export type AcceptConnection = (
  from: MemberId,
  port: number,
  signal: AbortSignal,
  reader?: () => SocketRead,
) => Promise<Duplex>;

/** The other member may try for some time before it says that nothing listens. */
const ANSWER_MS = 60_000;

/** Resolves when the other member has accepted. @throws TunlError UPSTREAM_REFUSED, NOT_ALLOWED, MEMBER_UNREACHABLE, ABORTED */
export async function openedConnection(stream: Stream, signal?: AbortSignal): Promise<StreamDuplex> {
  const answered = Promise.withResolvers<void>();
  let state: 'asked' | 'accepted' | 'handed over' = 'asked';
  const toError = (code: StreamCode, message: string | undefined): Error => {
    switch (state) {
      case 'asked':
        return refusedConnection(code, message);
      case 'accepted':
        // Not MEMBER_UNREACHABLE: the member has seen this connection, and no other one may be opened in its place.
        return refusal('UPSTREAM_REFUSED', 'The member has accepted the connection and reset it at once.');
      case 'handed over':
        return Object.assign(new Error(`the connection was reset: ${code}`), {code: 'ECONNRESET'});
    }
  };
  const duplex = new StreamDuplex(stream, {
    code: 'VISITOR_RESET',
    toError,
    onOpened: () => {
      state = 'accepted';
      answered.resolve();
    },
  });
  duplex.once('close', () => answered.reject(duplex.errored));
  const abort = () => duplex.destroy(new TunlError('ABORTED'));
  const late = () => {
    duplex.destroy(new TunlError('MEMBER_UNREACHABLE', {reason: 'The member did not answer in time.'}));
  };
  const timer = setTimeout(late, ANSWER_MS).unref();
  signal?.addEventListener('abort', abort, {once: true});
  try {
    if (signal?.aborted) abort();
    await answered.promise;
    state = 'handed over';
    return duplex.stillOpen();
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

class OpenedSplice extends Splice {
  readonly #onAnswer: (error: TunlError | undefined) => void;

  constructor(options: SpliceOptions, onAnswer: (error: TunlError | undefined) => void) {
    super(options);
    this.#onAnswer = onAnswer;
  }

  onOpened(): void {
    this.#onAnswer(undefined);
  }

  override onReset(code: StreamCode, message?: string): void {
    this.#onAnswer(refusedConnection(code, message));
    super.onReset(code);
  }
}

/**
 * Joins an accepted socket, which must allow half-open connections and must not flow. Resolves when the other member has accepted;
 * a refusal leaves the socket open.
 *
 * @throws TunlError as `openedConnection`
 */
export function splicedConnection(stream: Stream, socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let isAnswered = false;
    const answered = (error: TunlError | undefined) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      socket.off('close', gone);
      if (error !== undefined) reject(error);
      else {
        splice.join(socket);
        if (splice.hasBegun) readOn(socket);
        resolve();
      }
    };
    const gone = () => {
      splice.cut('VISITOR_RESET');
      answered(new TunlError('ABORTED'));
    };
    const late = () => {
      splice.cut('CANCELLED');
      answered(new TunlError('MEMBER_UNREACHABLE', {reason: 'The member did not answer in time.'}));
    };
    const timer = setTimeout(late, ANSWER_MS).unref();
    const splice = new OpenedSplice(
      {stream, brokenCode: 'VISITOR_RESET', reset: () => resetSocket(socket), onDone: () => {}},
      answered,
    );
    if (socket.destroyed) gone();
    else socket.once('close', gone);
  });
}

const ERROR_OF: {readonly [code in StreamCode]?: ErrorCode} = {
  UPSTREAM_REFUSED: 'UPSTREAM_REFUSED',
  NOT_ALLOWED: 'NOT_ALLOWED',
  MEMBER_UNKNOWN: 'MEMBER_UNKNOWN',
  MEMBER_UNPROVEN: 'MEMBER_UNPROVEN',
};

/** In words, where the other member gives none. */
const REASON_OF: {readonly [code in ErrorCode]?: (code: StreamCode) => string} = {
  UPSTREAM_REFUSED: () => 'The member does not accept connections on this port.',
  MEMBER_UNREACHABLE: (code) => `The way to the member ended (${code}).`,
};

const NEXT_OF: {readonly [code in ErrorCode]?: string} = {
  UPSTREAM_REFUSED:
    'Check that its service runs. In `net run` it has to listen on :: or on the member’s own address.',
};

/** Why a connection was refused. The member was reached: a target that does not answer is no fault of the way. */
function refusedConnection(code: StreamCode, message: string | undefined): TunlError {
  return refusal(code === 'UPSTREAM_TIMEOUT' ? 'UPSTREAM_REFUSED' : code, message);
}

/** Why the way to a member, or a connection, was refused. */
export function refusal(code: StreamCode, message: string | undefined, cause?: unknown): TunlError {
  const known = ERROR_OF[code] ?? 'MEMBER_UNREACHABLE';
  const reason = message ?? REASON_OF[known]?.(code);
  const next = NEXT_OF[known];
  return errorForPeer(known, {
    ...(reason !== undefined && {reason}),
    ...(next !== undefined && {next}),
    cause,
  });
}

export interface JoinConnection {
  readonly from: MemberId;
  readonly port: number;
  readonly accept: AcceptConnection;
  readonly reads: SocketReads;
  /** Called once, when both directions have ended. */
  readonly onDone?: (() => void) | undefined;
}

/** Dials what the connection is for, then joins both. Both directions end by themselves; a reset stays one. */
export function joinConnection(stream: Stream, {from, port, accept, reads, onDone}: JoinConnection): void {
  let isRead: 'events' | 'onread' = 'events';
  const reader = () => {
    isRead = 'onread';
    return reads.for(splice);
  };
  const gone = new AbortController();
  let answer: Duplex | undefined;
  const splice = new Splice({
    stream,
    brokenCode: 'UPSTREAM_RESET',
    reset: () => {
      if (answer instanceof Socket) resetSocket(answer);
      else answer?.destroy();
    },
    connects: () => true,
    onDone: () => {
      gone.abort();
      onDone?.();
    },
  });
  accept(from, port, gone.signal, reader).then(
    (dialled) => {
      answer = dialled;
      dialled.on('error', () => {});
      stream.accept();
      splice.join(dialled as Socket, isRead);
    },
    (error: unknown) => {
      const [code, message] = refusalFor(error);
      stream.refuse(code, message);
      splice.onReset(code);
    },
  );
}

/** For the other member: it hears what the target did, and not which one it is. */
function refusalFor(error: unknown): readonly [code: StreamCode, message?: string] {
  if (error instanceof TunlError)
    return [error.code === 'NOT_ALLOWED' ? 'NOT_ALLOWED' : 'UPSTREAM_REFUSED', error.message];
  const code = systemCode(error);
  switch (code) {
    case '':
    case 'ECONNREFUSED':
    case 'ENOENT':
      return ['UPSTREAM_REFUSED'];
    case 'ETIMEDOUT':
      return ['UPSTREAM_TIMEOUT', 'The service of the member did not answer in time (ETIMEDOUT).'];
    default:
      return ['UPSTREAM_REFUSED', `The member cannot reach its service (${code}).`];
  }
}
