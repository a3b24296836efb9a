// The host's node and the sandbox's init, read-only inside a container of any image: the image needs neither node nor the same
// libc, because node is started by the host's own dynamic loader, with the host's libraries.

import {access, realpath} from 'node:fs/promises';
import {basename} from 'node:path';
import {initFile} from '../init/program.js';
import type {SandboxMount} from '../spec.js';

/** The folder inside. */
export const NODE_FOLDER = '/.tunl';

export interface HostNode {
  readonly mounts: readonly SandboxMount[];
  /** Starts the init with its carrier on stdin and stdout. */
  readonly command: readonly string[];
}

export async function hostNode(): Promise<HostNode> {
  const node = await realpath(process.execPath);
  const libraries = await loadedLibraries();
  // An engine would make a folder in its place.
  await access(initFile());
  const bind = (source: string, name: string): SandboxMount => ({
    source,
    target: `${NODE_FOLDER}/${name}`,
    readOnly: true,
  });
  const loader = libraries.find((path) => /^ld[-.]/.test(basename(path)));
  return {
    mounts: [
      bind(node, 'node'),
      bind(initFile(), 'init.cjs'),
      ...libraries.map((path) => bind(path, `lib/${basename(path)}`)),
    ],
    command: [
      // A static node has no loader.
      ...(loader === undefined
        ? []
        : [`${NODE_FOLDER}/lib/${basename(loader)}`, '--library-path', `${NODE_FOLDER}/lib`]),
      `${NODE_FOLDER}/node`,
      '--v8-pool-size=0',
      `${NODE_FOLDER}/init.cjs`,
      '--stdio',
    ],
  };
}

/** The shared libraries of this process, by the names that programs ask for. */
async function loadedLibraries(): Promise<string[]> {
  const report = process.report as NodeJS.ProcessReport & {excludeNetwork?: boolean};
  const before = report.excludeNetwork ?? false;
  // A report with the network asks for the names of all peers.
  report.excludeNetwork = true;
  const {sharedObjects} = report.getReport() as {sharedObjects?: string[]};
  report.excludeNetwork = before;
  const paths = (sharedObjects ?? []).filter((path) => path.startsWith('/') && !path.endsWith('.node'));
  // A file that was replaced since this process started cannot be mounted.
  const isThere = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => isThere[index]);
}
