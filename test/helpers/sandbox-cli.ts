// Sandboxes of the built command, for tests of what people and scripts see.
import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type CliOptions, runCli} from './cli.js';
import {Scope} from './scope.js';

type Ran = Awaited<ReturnType<typeof runCli>>;

/** The CA of the relay inside each process with this state folder. */
export const caFileOf = (stateDir: string): string => join(stateDir, 'ca', 'tunl-ca.pem');

export async function tunl(scope: Scope, stateDir: string, ...words: string[]): Promise<Ran> {
  return await runCli(scope, words, {stateDir});
}

/** `tunl sandbox exec ID -- WORDS`, without input. */
export async function inSandbox(
  scope: Scope,
  stateDir: string,
  id: string,
  ...words: string[]
): Promise<Ran> {
  return await tunl(scope, stateDir, 'sandbox', 'exec', id, '--', ...words);
}

/** `tunl sandbox run --detach WORDS`. At the end of the scope all sandboxes of the state folder are stopped. */
export async function detached(
  scope: Scope,
  stateDir: string,
  words: readonly string[],
  env: CliOptions['env'] = {},
): Promise<{id: string; stdout: string}> {
  scope.onEnd(async () => {
    await using own = new Scope();
    await runCli(own, ['sandbox', 'stop', '--all'], {stateDir});
  });
  const ran = await runCli(scope, ['sandbox', 'run', '--detach', ...words], {stateDir, env});
  if (ran.code !== 0) throw new Error(`not started: ${ran.stderr}`);
  const id = /sb_[a-z2-9]{8}/.exec(ran.stderr)?.[0] ?? '';
  return {id, stdout: ran.stdout};
}

/** The content of all files below a folder, without those of this name. */
export async function filesBelow(folder: string, without?: string): Promise<string> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  const files = entries.filter((each) => each.isFile() && each.name !== without);
  return (await Promise.all(files.map((each) => readFile(join(each.parentPath, each.name), 'latin1')))).join(
    '\n',
  );
}
