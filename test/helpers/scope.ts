// Owns everything that a test starts, and ends it in reverse order. `await using scope = new Scope()`.
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export class Scope implements AsyncDisposable {
  /** Node 22.12, the oldest that tunl runs on, has no AsyncDisposableStack. */
  readonly #ends: (() => void | Promise<void>)[] = [];
  readonly #abort = new AbortController();

  /** Aborted first when the scope ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The scope takes ownership of the resource and returns it. */
  own<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.onEnd(async () => {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    });
    return resource;
  }

  /** Runs at the end of the scope, last one first. */
  onEnd(end: () => void | Promise<void>): void {
    this.#ends.push(end);
  }

  /** A new empty folder, removed at the end. */
  async tempDir(name = 'test'): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), `tunl-${name}-`));
    this.onEnd(() => rm(path, {recursive: true, force: true, maxRetries: 3}));
    return path;
  }

  /** Listens on a free port; at the end the listener and all its sockets are gone. */
  async listen(server: Server, host = '127.0.0.1', port = 0): Promise<number> {
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.onEnd(
      () =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          for (const socket of sockets) socket.destroy();
        }),
    );
    return portOf(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new Error('the scope of the test has ended'));
    const errors: unknown[] = [];
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 1) throw new AggregateError(errors, 'several ends of the scope failed');
    if (errors.length === 1) throw errors[0];
  }
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

/**
 * Ports between those that the launcher chooses and those that the system gives away (port 0, outgoing connections; on Linux
 * from 32768). A free port in this range stays free until the test itself listens, also while a program restarts.
 */
const FIRST_PORT = 32_000;
const PORT_COUNT = 768;
/** Test processes that run in parallel have consecutive pids: each begins at a different place. */
let nextPort = (process.pid * 48) % PORT_COUNT;

/** The ports of this process, each with the lock that tells other test processes: its port may be free while a program restarts. */
const mine = new Map<number, Server>();

/** A socket in the abstract namespace of Linux, which ends with this process. False: another process has the port. */
function lock(port: number): Promise<boolean> {
  if (mine.has(port) || process.platform !== 'linux') return Promise.resolve(true);
  const server = createServer().unref();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({path: `\0tunl-test-port-${port}`}, () => {
      mine.set(port, server);
      resolve(true);
    });
  });
}

/** Consecutive ports that nobody listens on, that no other test process has, and that this one has not returned for a long time. */
async function unusedPorts(count: number, host: string): Promise<number> {
  for (let tries = 0; tries < PORT_COUNT; tries += 1) {
    // Reserved before the first wait: other tests ask at the same time.
    if (nextPort + count > PORT_COUNT) nextPort = 0;
    const first = FIRST_PORT + nextPort;
    nextPort += count;
    const ports = Array.from({length: count}, (_, i) => first + i);
    const isMine = await Promise.all(ports.map(lock));
    const isFree = await Promise.all(ports.map((port) => canListen(port, host)));
    if (!isMine.includes(false) && !isFree.includes(false)) return first;
  }
  throw new Error('no port is free');
}

/** A port for programs that need a number, or a port on which nobody listens. */
export function unusedPort(host = '127.0.0.1'): Promise<number> {
  return unusedPorts(1, host);
}

/** Ports for a relay's TCP tunnels: `first-last`. */
export async function unusedPortRange(count: number): Promise<string> {
  const first = await unusedPorts(count, '127.0.0.1');
  return `${first}-${first + count - 1}`;
}

function canListen(port: number, host: string): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({port, host, exclusive: true}, () => server.close(() => resolve(true)));
  });
}
