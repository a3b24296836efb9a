// A Unix socket as an upstream (on Windows: a named pipe).

import {connect, type Socket} from 'node:net';
import {withReader} from '../../bytes/socket-reads.js';
import {systemCode} from '../../core/errors.js';
import {isUnixListening} from '../../core/listening.js';
import {leave} from './tcp.js';
import {answersTls} from './tls-probe.js';
import {
  DIAL_TIMEOUT_MS,
  type ListenState,
  PROBE_TIMEOUT_MS,
  type Upstream,
  type UpstreamDial,
} from './upstream.js';

/** Delay before the second dial of a socket whose queue is full, ms; it doubles up to the longest. */
const FIRST_AGAIN_MS = 5;
const LONGEST_AGAIN_MS = 100;

export class UnixUpstream implements Upstream {
  readonly label: string;
  readonly #path: string;

  /** @param label Default: `unix:` and the path. */
  constructor(path: string, label = `unix:${path}`) {
    this.#path = path;
    this.label = label;
  }

  dial({preface, reader, onOpen, onFailed}: UpstreamDial): () => void {
    return dialPath({
      timeoutMs: DIAL_TIMEOUT_MS,
      open: () => withReader(reader?.(), (options) => connect({...options, path: this.#path})),
      // A Unix socket has no reset: the upstream sees an end, or a reset if it has not read everything.
      onOpen: (socket) => {
        if (preface !== undefined) socket.write(preface);
        onOpen({socket, reads: reader ? 'onread' : 'events', reset: () => void socket.destroy()});
      },
      onFailed,
    });
  }

  async listenState(): Promise<ListenState> {
    if (process.platform !== 'linux') return 'unknown';
    return (await isUnixListening(this.#path)) ? 'listening' : 'nobody';
  }

  probe(preface?: Buffer): Promise<Error | undefined> {
    return new Promise((resolve) => {
      dialPath({
        timeoutMs: PROBE_TIMEOUT_MS,
        open: () => connect({path: this.#path}).unref(),
        onOpen: (socket) => {
          resolve(undefined);
          leave(socket, preface);
        },
        onFailed: resolve,
      });
    });
  }

  speaksTls(preface?: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      dialPath({
        timeoutMs: PROBE_TIMEOUT_MS,
        open: () => connect({path: this.#path}).unref(),
        onOpen: (socket) => resolve(answersTls(socket, {preface})),
        onFailed: () => resolve(false),
      });
    });
  }
}

interface PathDial {
  timeoutMs: number;
  open: () => Socket;
  onOpen: (socket: Socket) => void;
  onFailed: (error: Error) => void;
}

/**
 * When the queue of the listener is full, a TCP connection waits, but the kernel refuses a Unix connection with EAGAIN. So it
 * is dialled again until the time has passed.
 */
function dialPath({timeoutMs, open, onOpen, onFailed}: PathDial): () => void {
  let socket: Socket | undefined;
  let again: NodeJS.Timeout | undefined;
  let againMs = FIRST_AGAIN_MS;
  const end = () => {
    clearTimeout(deadline);
    clearTimeout(again);
    const dialled = socket;
    socket = undefined;
    dialled?.destroy();
  };
  const fail = (error: Error) => {
    end();
    onFailed(error);
  };
  const deadline = setTimeout(
    () => fail(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'})),
    timeoutMs,
  ).unref();
  const dialOnce = () => {
    const dialled = open();
    socket = dialled;
    const failed = (error: Error) => {
      // The dial has already ended, and has destroyed the socket.
      if (socket !== dialled) return;
      if (systemCode(error) !== 'EAGAIN') return fail(error);
      dialled.destroy();
      again = setTimeout(dialOnce, againMs).unref();
      againMs = Math.min(LONGEST_AGAIN_MS, againMs * 2);
    };
    dialled.on('error', failed);
    dialled.once('connect', () => {
      if (socket !== dialled) return;
      dialled.off('error', failed);
      socket = undefined;
      end();
      onOpen(dialled);
    });
  };
  dialOnce();
  return end;
}
