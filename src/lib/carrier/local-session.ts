// A session between two processes of one machine: no handshake, no resume. The end of the socket is the end of the session.

import type {Socket} from 'node:net';
import {type Clock, systemClock} from '../core/clock.js';
import {BlockPool} from '../mux/blocks.js';
import {Link, NOBODY} from '../mux/link.js';
import {Session, type SessionSink} from '../mux/session.js';
import type {SessionRole} from '../mux/stream-ids.js';
import {WindowBudget} from '../mux/window-budget.js';
import {SocketCarrier} from './socket-carrier.js';

export interface LocalSessionOptions {
  /** Without listeners; the session owns it from now on. */
  socket: Socket;
  /** The side that opens most streams is the relay. */
  role: SessionRole;
  sink: SessionSink;
  clock?: Clock | undefined;
  /** A peer that is silent for this long has died, ms. Default 30,000. */
  silenceMs?: number | undefined;
  /** The limit for the growth of all windows. Default 16 MiB. */
  windowBytes?: number | undefined;
  /** Streams open at once. Default 4,096. */
  maxStreams?: number | undefined;
}

/** A sandbox whose processor time is used up by its own programs answers late. */
const SILENCE_MS = 30_000;
const PING_AFTER_MS = 5_000;
const WINDOW_BYTES = 16 * 1024 * 1024;
const MAX_STREAMS = 4_096;
/** Blocks that an idle session keeps: 1 MiB. */
const KEPT_BLOCKS = 6;

export function openLocalSession(options: LocalSessionOptions): Session {
  const {socket, role, sink, clock = systemClock, silenceMs = SILENCE_MS} = options;
  const carrier = new SocketCarrier({socket, clock});
  const link = new Link(carrier, {
    clock,
    pingAfterMs: Math.min(PING_AFTER_MS, silenceMs / 3),
    deadAfterMs: silenceMs,
  });
  const session = new Session({
    role,
    sink,
    clock,
    pool: new BlockPool(KEPT_BLOCKS),
    keepForReplay: false,
    resumeWindowMs: 0,
    windowBudget: new WindowBudget(options.windowBytes ?? WINDOW_BYTES),
    maxStreams: options.maxStreams ?? MAX_STREAMS,
  });
  link.start(NOBODY);
  session.attach(link, 0);
  return session;
}
