// The start of a container at an engine that a test plays.

import {once} from 'node:events';
import {createServer, type ServerResponse} from 'node:http';
import {join} from 'node:path';
import {expect} from 'vitest';
import {EngineApi} from '../../../../src/lib/sandbox/engine/api.js';
import {Engine} from '../../../../src/lib/sandbox/engine/engine.js';
import type {Lease} from '../../../../src/lib/sandbox/engine/open-engine.js';
import type {ContainerPlan} from '../../../../src/lib/sandbox/engine/plan.js';
import {startContainer} from '../../../../src/lib/sandbox/engine/start.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const PLAN: ContainerPlan = {
  name: 'tunl-sb_aaaaaaaa',
  image: 'sha256:1',
  runtime: undefined,
  command: ['init'],
  user: '0:0',
  keepsId: false,
  labels: {},
  mounts: [],
  scratchBytes: undefined,
  sharedMemoryBytes: 1,
  volumes: [],
  memoryBytes: undefined,
  cpus: undefined,
  pids: undefined,
  openFiles: 64,
  processes: 64,
  seccompFile: '/seccomp.json',
};

async function setUp(scope: Scope) {
  const asked: string[] = [];
  const answers = {
    create: (_response: ServerResponse) => {},
    remove: (response: ServerResponse) => void response.end(),
  };
  const engine = createServer((request, response) => {
    const {method = '', url = ''} = request.resume();
    asked.push(`${method} ${new URL(url, 'http://engine').pathname.replace(/.*\/containers/, '')}`);
    if (method === 'POST') answers.create(response);
    else answers.remove(response);
  });
  const socketPath = join(await scope.tempDir('engine'), 's');
  engine.listen(socketPath);
  await once(engine, 'listening');
  scope.onEnd(() => {
    engine.closeAllConnections();
    engine.close();
  });
  let isReleased = false;
  const lease: Lease = {
    engine: new Engine('podman', new EngineApi(socketPath)),
    isOwn: false,
    again: async () => ({...lease, release: async () => {}}),
    release: async () => {
      isReleased = true;
    },
  };
  const start = (signal?: AbortSignal) =>
    startContainer({
      ...{lease, plan: PLAN, signal, command: ['true'], unreal: [], onRefused: () => {}},
      defaults: {env: {}, workdir: '/'},
      egress: {kind: 'none'},
    });
  return {asked, answers, start, isReleased: () => isReleased};
}

test('a creation that is given up, and that the engine goes on with, leaves no container', async ({
  scope,
}) => {
  const {asked, answers, start, isReleased} = await setUp(scope);
  const abort = new AbortController();
  answers.create = () => abort.abort(new Error('given up'));
  let tries = 0;
  answers.remove = (response) => {
    tries += 1;
    response.writeHead(tries < 3 ? 404 : 204).end();
  };
  await expect(start(abort.signal)).rejects.toThrow('given up');
  expect(asked).toEqual(['POST /create', ...Array(3).fill('DELETE /tunl-sb_aaaaaaaa')]);
  expect(isReleased()).toBe(true);
});

test('a creation that the engine refuses has left nothing to remove', async ({scope}) => {
  const {asked, answers, start} = await setUp(scope);
  answers.create = (response) => void response.writeHead(500).end('{"message":"no room"}');
  await expect(start()).rejects.toThrow('no room');
  expect(asked).toEqual(['POST /create']);
});
