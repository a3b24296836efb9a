// The built `tunl` command in a separate process, with a clean environment and its own state folder.
import {fileURLToPath} from 'node:url';
import type {ReadyEvent, TunnelEvent} from '../../src/lib/agent/events.js';
import type {CliEvent} from '../../src/lib/cli/events.js';
import {behindGate} from './behind-gate.js';
import {Child, type ChildOptions, type Exit} from './child.js';
import type {Scope} from './scope.js';

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
export const entry: string = entryOf(projectRoot);

export interface CliOptions extends ChildOptions {
  /** Default: a new one. */
  stateDir?: string;
  /** The package to run. Default: that of the project. */
  root?: string;
}

/** @param root with a slash at its end */
function entryOf(root: string): string {
  return `${root}bin/run.js`;
}

type EventOf<T extends CliEvent['type']> = Extract<CliEvent, {type: T}>;

export class Cli extends Child {
  readonly stateDir: string;

  constructor(args: readonly string[], stateDir: string, options: CliOptions) {
    super(process.execPath, [entryOf(options.root ?? projectRoot), ...args], {
      ...options,
      name: `tunl ${args.join(' ')}`,
      env: {HOME: stateDir, TUNL_STATE_DIR: stateDir, ...options.env},
    });
    this.stateDir = stateDir;
  }

  /** The events of `--json` so far. */
  get events(): CliEvent[] {
    return this.lines.map((line) => JSON.parse(line) as CliEvent);
  }

  /** The first event of the type for which `wanted` holds, now or later (with `--json`). */
  async event<T extends CliEvent['type']>(
    type: T,
    wanted: (event: EventOf<T>) => boolean = () => true,
  ): Promise<EventOf<T>> {
    const fits = (line: string) => {
      const event = JSON.parse(line) as CliEvent;
      return event.type === type && wanted(event as EventOf<T>);
    };
    return JSON.parse(await this.line(fits)) as EventOf<T>;
  }

  /** The last event when it is an error. */
  get error(): Extract<TunnelEvent, {type: 'error'}> | undefined {
    const last = this.events.at(-1);
    return last?.type === 'error' ? last : undefined;
  }
}

/** Starts `tunl …`. It is stopped when the scope ends, and must leave no process. */
export async function startCli(
  scope: Scope,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Cli> {
  const stateDir = options.stateDir ?? (await scope.tempDir('state'));
  const gated = await behindGate(scope, args);
  const cli = scope.own(new Cli(gated.args, stateDir, {...options, env: {...gated.env, ...options.env}}));
  gated.started(cli);
  return cli;
}

/** Runs `tunl …` to its own end. */
export async function runCli(
  scope: Scope,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Exit & {stdout: string; stderr: string; cli: Cli}> {
  const cli = await startCli(scope, args, options);
  return {...(await cli.finished()), cli};
}

export interface ExposeOptions extends CliOptions {
  flags?: readonly string[];
}

export interface Exposed {
  cli: Cli;
  ready: ReadyEvent;
}

/** `tunl expose TARGET --json …`, resolved when it is ready. */
export async function expose(
  scope: Scope,
  target: number | string,
  options: ExposeOptions = {},
): Promise<Exposed> {
  const cli = await startCli(scope, ['expose', String(target), '--json', ...(options.flags ?? [])], options);
  return {cli, ready: await cli.event('ready')};
}
