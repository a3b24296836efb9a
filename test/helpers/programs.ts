// `tunl jupyter`, `tunl ssh` and similar commands through a relay in a separate process, as a user would start them.
import {type Cli, startCli} from './cli.js';
import {plainEnv} from './launching.js';
import {type RelayProcess, startRelayProcess} from './relay.js';
import type {Scope} from './scope.js';

export interface Behind {
  relay: RelayProcess;
  cli: Cli;
}

export interface BehindOptions {
  relay?: RelayProcess;
  env?: Record<string, string>;
  cwd?: string;
  stateDir?: string;
}

/** Started, but not ready: the test waits for `ready`, or for the address on stdout. */
export async function startBehindRelay(
  scope: Scope,
  words: readonly string[],
  options: BehindOptions = {},
): Promise<Behind> {
  const relay = options.relay ?? (await startRelayProcess(scope));
  const cli = await startCli(scope, words, {
    // A separate home: programs read and write settings there.
    env: {...plainEnv({HOME: await scope.tempDir('home')}), ...relay.env, ...options.env},
    ...(options.cwd !== undefined && {cwd: options.cwd}),
    ...(options.stateDir !== undefined && {stateDir: options.stateDir}),
  });
  return {relay, cli};
}
