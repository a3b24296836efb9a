// The way to an engine, opened for as long as somebody uses it: a socket that is there already, or a service of our own.

import {TunlError} from '../../core/errors.js';
import {which} from '../../launch/find.js';
import {EngineApi} from './api.js';
import {Engine} from './engine.js';
import {type EngineKind, findSocket} from './find-socket.js';
import {type OwnService, startService, sweepServiceFolders} from './own-service.js';

export interface Lease {
  readonly engine: Engine;
  /** The engine answers through a service of our own. */
  readonly isOwn: boolean;
  /** An engine to clean up with: the same one, or a new service in place of one that has died. */
  again(): Promise<Lease>;
  /** Idempotent. */
  release(): Promise<void>;
}

export interface OpenEngineOptions {
  readonly socketPath: string | undefined;
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

interface Way {
  readonly engine: Engine;
  readonly service: OwnService | undefined;
  users: number;
  /** Its last user has left, and nobody came in its place. */
  isOver: boolean;
  linger: NodeJS.Timeout | undefined;
}

const LINGER_MS = 2_000;

export class OpenEngine {
  readonly #kind: EngineKind;
  readonly #options: OpenEngineOptions;
  /** By the OCI runtime that was asked for; '' stands for the engine's own choice. */
  readonly #ways = new Map<string, Promise<Way>>();

  constructor(kind: EngineKind, options: OpenEngineOptions) {
    this.#kind = kind;
    this.#options = options;
  }

  /** @param runtime podman takes an OCI runtime for a whole service only. @throws TunlError SANDBOX_BACKEND */
  async use(runtime = ''): Promise<Lease> {
    for (;;) {
      const pending = this.#ways.get(runtime) ?? this.#find(runtime);
      this.#ways.set(runtime, pending);
      const forget = () => {
        if (this.#ways.get(runtime) === pending) this.#ways.delete(runtime);
      };
      const way = await pending.catch((error: unknown) => {
        forget();
        throw error;
      });
      if (!way.isOver && way.service?.isRunning !== false) return this.#lease(way);
      // An engine may have gone or come meanwhile.
      forget();
    }
  }

  #lease(way: Way): Lease {
    way.users += 1;
    clearTimeout(way.linger);
    let released: Promise<void> | undefined;
    return {
      engine: way.engine,
      isOwn: way.service !== undefined,
      again: () => this.use(),
      release: () => {
        released ??= leave(way);
        return released;
      },
    };
  }

  async #find(runtime: string): Promise<Way> {
    const {socketPath, env} = this.#options;
    if (runtime !== '') return this.#throughOwn(runtime);
    if (socketPath !== undefined) return this.#through(new EngineApi(socketPath));
    const found = await findSocket(this.#kind, {env, uid: process.getuid?.() ?? 0});
    if (found.api !== undefined) return this.#through(found.api);
    if (this.#kind === 'podman' && (await which('podman', env)) !== undefined)
      return this.#throughOwn(runtime);
    throw missing(this.#kind, found.refused);
  }

  async #throughOwn(runtime: string): Promise<Way> {
    await sweepServiceFolders();
    const service = await startService(runtime);
    return this.#through(service.api, service);
  }

  #through(api: EngineApi, service?: OwnService): Way {
    return {engine: new Engine(this.#kind, api), service, users: 0, isOver: false, linger: undefined};
  }
}

/** A service stays for a moment: a probe is followed by a start. */
async function leave(way: Way): Promise<void> {
  way.users -= 1;
  if (way.users > 0) return;
  if (way.service === undefined) {
    way.isOver = true;
    return;
  }
  const {service} = way;
  way.linger = setTimeout(() => {
    way.isOver = true;
    void service.stop();
  }, LINGER_MS);
  way.linger.unref();
}

function missing(kind: EngineKind, refused: string | undefined): TunlError {
  if (refused !== undefined)
    return new TunlError('SANDBOX_BACKEND', {
      reason: `This user may not use ${kind}’s socket ${refused}.`,
      next:
        kind === 'docker'
          ? 'sudo usermod -aG docker "$USER", then log in again. Members of this group are as good as root.'
          : 'Use podman as this user: systemctl --user enable --now podman.socket',
    });
  return new TunlError('SANDBOX_BACKEND', {
    reason: `There is no ${kind} on this machine, or it does not run.`,
    next:
      kind === 'docker'
        ? 'Install it and start it: sudo systemctl enable --now docker'
        : 'Install it: sudo apt install podman',
  });
}
