// Owns what a test starts: everything ends, in reverse order, when the scope does. `await using scope = new Scope()`.
import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export class Scope implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #abort = new AbortController();

  /** Aborted first when the scope ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Hands the resource over to the scope and back to the caller. */
  own<T extends AsyncDisposable | Disposable>(resource: T): T {
    return this.#stack.use(resource);
  }

  /** Runs at the end of the scope, last one first. */
  onEnd(end: () => void | Promise<void>): void {
    this.#stack.defer(end);
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
    await this.#stack.disposeAsync();
  }
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

/** A port that was free a moment ago, for what must be told a number, or for what must find nobody. */
export async function unusedPort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  const port = portOf(server);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
