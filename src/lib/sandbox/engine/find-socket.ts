// The API sockets on this machine, and what answers behind them.

import {systemCode} from '../../core/errors.js';
import {EngineApi} from './api.js';

/** Podman answers to Docker's API as well, and to its own. */
export type EngineKind = 'podman' | 'docker';

/** `refused`: a socket is there, and this user may not use it. */
export type Search =
  | {readonly api: EngineApi}
  | {readonly api?: undefined; readonly refused?: string | undefined};

const ANSWER_MS = 5_000;

export interface Surroundings {
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly uid: number;
}

/** In the order of preference, each once. Engines of other machines are left out: a sandbox needs files of this one. */
export function socketPaths(kind: EngineKind, {env, uid}: Surroundings): readonly string[] {
  const runtime = env.XDG_RUNTIME_DIR || undefined;
  const own = [...(runtime === undefined ? [] : [runtime]), `/run/user/${uid}`];
  const named = [env.CONTAINER_HOST, env.DOCKER_HOST].flatMap((url) => unixPath(url) ?? []);
  const usual =
    kind === 'podman'
      ? [
          ...(uid === 0 ? ['/run/podman/podman.sock'] : []),
          ...own.map((folder) => `${folder}/podman/podman.sock`),
          // The package podman-docker puts podman's socket here.
          '/run/docker.sock',
        ]
      : [
          ...own.map((folder) => `${folder}/docker.sock`),
          '/var/run/docker.sock',
          '/run/docker.sock',
          ...(env.HOME ? [`${env.HOME}/.docker/run/docker.sock`] : []),
        ];
  return [...new Set([...named, ...usual])];
}

function unixPath(url: string | undefined): string | undefined {
  return url?.startsWith('unix://') ? url.slice('unix://'.length) : undefined;
}

/** The first socket with an engine of this kind behind it. */
export async function findSocket(kind: EngineKind, surroundings: Surroundings): Promise<Search> {
  let refused: string | undefined;
  for (const path of socketPaths(kind, surroundings)) {
    const api = new EngineApi(path);
    try {
      if ((await kindOf(api)) === kind) return {api};
    } catch (error) {
      if (systemCode(error) === 'EACCES') refused ??= path;
    }
  }
  return {refused};
}

export async function kindOf(api: EngineApi): Promise<EngineKind> {
  const {headers} = await api.ask('GET', '/_ping', {timeoutMs: ANSWER_MS});
  return headers['libpod-api-version'] === undefined ? 'docker' : 'podman';
}
