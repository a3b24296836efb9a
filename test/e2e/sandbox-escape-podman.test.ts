// What a program in a container of podman cannot do: the same tests as in a sandbox of bubblewrap.

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll} from 'vitest';
import {IMAGE_MOUNTS, makeImage, podmanService} from '../helpers/container-image.js';
import {escapeSuite} from '../helpers/escape-suite.js';
import {Scope} from '../helpers/scope.js';

// Rootless podman needs ranges of ids that a test may not give to a user.
if (process.getuid?.() === 0) {
  const scope = new Scope();
  const image = `localhost/tunl-escape-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), 'tunl-escape-'));
  beforeAll(async () => {
    scope.onEnd(() => rmSync(folder, {recursive: true, force: true}));
    await makeImage(scope, [], image);
    await podmanService(scope, folder);
  }, 60_000);
  afterAll(() => scope[Symbol.asyncDispose]());

  escapeSuite({
    title: 'podman of root',
    module: 'lib/sandbox/engine/backend.js',
    name: 'EngineBackend',
    env: {CONTAINER_HOST: `unix://${folder}/podman.sock`},
    spec: {image, mounts: IMAGE_MOUNTS},
    // Two programs of the engine copy each byte.
    loudBytes: 300 * 1024 * 1024,
    says: {
      // The engine's own files, and groups that can be read.
      'folders of the host': /^(\.containerenv\npodman-init\n)?end\n$/,
      'control groups': /^((?!made)\w+\n)*end\n$/,
      'calls of the x32 kind': /^((ENOSYS|EPERM)\n)+$/,
      // All ids, to nobody's.
      'the map of its user ids': /^ 0 \d{9,} 65536\n$/,
    },
    real: ['memoryBytes', 'cpus', 'pids'],
  });
}
