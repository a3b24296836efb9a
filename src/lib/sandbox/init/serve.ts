// The serving half of a local session: streams of the other side become processes, connections and files. The init of a sandbox
// serves real ones; the owner of a sandbox serves those of its sandbox on the control socket.

import type {Socket} from 'node:net';
import {openLocalSession} from '../../carrier/local-session.js';
import {type Clock, systemClock} from '../../core/clock.js';
import type {TunlError} from '../../core/errors.js';
import type {Session} from '../../mux/session.js';
import type {Stream} from '../../mux/stream.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {KIND} from '../../protocol/wire.js';
import type {SandboxProcess} from '../backend.js';
import {type DialPort, DialServer} from './serve-dial.js';
import {ExecServer, type StartProcess} from './serve-exec.js';
import {type FileService, serveFile} from './serve-file.js';
import {readServiceOpen, SERVICE, type ServiceOpen} from './wire.js';

export interface StreamServices {
  exec: StartProcess;
  dial: DialPort;
  files: FileService;
  /** Services beyond those of an init, by name. The handler sets the sink of the stream, then accepts or refuses it. */
  more?: Readonly<Record<string, (stream: Stream, open: ServiceOpen) => void>>;
  /** A process that runs and that another session may have started: its id lets a client join it. */
  find?: (id: string) => SandboxProcess | undefined;
}

export interface ServeOptions {
  /** Without listeners; owned from now on. */
  socket: Socket;
  services: StreamServices;
  clock?: Clock;
  maxStreams?: number;
}

export interface ServedStreams {
  readonly session: Session;
  /** Resolves when the session is over. Undefined after an orderly end. */
  readonly ended: Promise<TunlError | undefined>;
  close(): void;
}

/**
 * A client may be stopped for long, such as by Ctrl+Z. When it has died, its socket tells.
 */
const CLIENT_SILENCE_MS = 24 * 60 * 60 * 1000;

export function serveStreams(options: ServeOptions): ServedStreams {
  const {socket, services, clock = systemClock, maxStreams} = options;
  const execs = new ExecServer({start: services.exec, find: services.find, clock});
  const dials = new DialServer(services.dial);
  const {promise: ended, resolve} = Promise.withResolvers<TunlError | undefined>();
  const session = openLocalSession({
    socket,
    role: 'agent',
    clock,
    silenceMs: CLIENT_SILENCE_MS,
    maxStreams,
    sink: {
      onOpen: (stream, about) => open(stream, about, {services, execs, dials}),
      onControl: () => session.onViolation('a control message to a server of streams'),
      onEnded: (error) => {
        execs.end();
        resolve(error);
      },
    },
  });
  return {session, ended, close: () => session.close()};
}

interface Servers {
  services: StreamServices;
  execs: ExecServer;
  dials: DialServer;
}

function open(stream: Stream, about: Buffer, {services, execs, dials}: Servers): void {
  if (stream.kind !== KIND.service) {
    stream.refuse('KIND_UNKNOWN');
    return;
  }
  try {
    const asked = readServiceOpen(about);
    const id = asked.exec ?? '';
    switch (asked.service) {
      case SERVICE.exec:
        execs.open(stream);
        return;
      case SERVICE.stdin:
        if (!execs.attachInput(id, stream)) stream.refuse('CANCELLED', 'no such process');
        return;
      case SERVICE.stdout:
      case SERVICE.stderr:
        if (!execs.attachOutput(id, asked.service, stream)) stream.refuse('CANCELLED', 'no such process');
        return;
      case SERVICE.dial:
        dials.serve(stream, asked.port);
        return;
      case SERVICE.file:
        serveFile(stream, services.files);
        return;
      default:
        more(stream, asked, services);
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    stream.refuse('CANCELLED', error.message);
  }
}

function more(stream: Stream, asked: ServiceOpen, {more = {}}: StreamServices): void {
  const take = Object.hasOwn(more, asked.service) ? more[asked.service] : undefined;
  if (take === undefined) stream.refuse('SERVICE_UNKNOWN');
  else take(stream, asked);
}
