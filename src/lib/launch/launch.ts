// Starts a local program behind a tunnel: finds it, starts it, probes it until it answers, watches it, and ends it with all
// its processes.
//
//   find ▸ free port ▸ own folder ▸ prepare ▸ spawn (own group, mark, watcher) ▸ ask until ready ▸ … ▸ SIGTERM ▸ grace ▸ SIGKILL
//
// A program is one value (`Program`, program.ts; the shipped ones are in programs/). This folder does not know the tunnel.
// The public side is a parameter, because a name is known before its program starts, and programs may need it (host checks,
// cookies, links). Reasons and limits: docs/decisions/0020-launching.md.
import {TunlError} from '../core/errors.js';
import {find} from './find.js';
import {type OutputSink, OutputTail, passOn} from './output.js';
import {freePort, isTaken} from './ports.js';
import type {Program, PublicSide, Site} from './program.js';
import type {Room} from './room.js';
import {loadExeca} from './run.js';
import {makeRunFolder, removeRunFolder} from './run-folder.js';
import {RunningProgram} from './running.js';
import {spawnProgram} from './spawn.js';

export interface LaunchOptions {
  /**
   * The tunnel's public address, or a function that opens the tunnel. The function is called first for a program that needs
   * its name, else as soon as the program has started, because dialling keeps this process busy. It is not called when there
   * is no program to start.
   */
  readonly public: PublicSide | (() => Promise<PublicSide>);
  /** The port that the program must use. Default: a free port, or for a program that chooses, the port that it opens. */
  readonly port?: number;
  /** Programs keep host keys and their run folders here. */
  readonly stateDir: string;
  /** The executable to use instead of the candidates. */
  readonly bin?: string;
  /** Default: this process's. */
  readonly env?: Readonly<NodeJS.ProcessEnv>;
  /** The network that the program runs in. It is closed after the program. Default: that of this machine. */
  readonly room?: Room | undefined;
  /** Stops the program. */
  readonly signal?: AbortSignal;
  /** Default: the program's. */
  readonly readyTimeoutMs?: number;
  readonly graceMs?: number;
  /** Gets the program's output as it comes, without secrets. */
  readonly onOutput?: OutputSink;
  /** Called just before the program starts. */
  readonly onStart?: () => void;
  /** Gets a line for people while the program starts. */
  readonly onNotice?: (message: string) => void;
}

/**
 * Resolves when the program has started; `ready` of the result resolves when it answers. Rejects when it cannot
 * start: PROGRAM_MISSING, PROGRAM_PORT_TAKEN, FOLDER_MISSING, or an error of the program's own preparation.
 */
export async function launch(program: Program, options: LaunchOptions): Promise<RunningProgram> {
  const {signal, room} = options;
  if (signal?.aborted) throw new TunlError('ABORTED');
  const env = options.env ?? process.env;
  const graceMs = options.graceMs ?? program.graceMs ?? 5_000;
  // The import runs while the program is looked for. A failure shows at its first use.
  loadExeca().catch(() => {});
  const early = program.needsName ? sideOf(options) : undefined;
  const found = await find(program, env, options.bin);
  const port = await portFor(program, options);
  const folder = await makeRunFolder(options.stateDir);
  const site: Site = {port, folder, found, env, uid: process.getuid?.() ?? -1};
  const secrets = program.secrets ?? [];
  const tail = new OutputTail(secrets);
  const forward = options.onOutput && passOn(options.onOutput, secrets);
  let prepared: {close(): Promise<void>} | undefined;
  const cleanUp = async () => {
    forward?.end();
    await prepared?.close();
    await removeRunFolder(folder);
    await room?.close();
  };
  try {
    prepared = await program.prepare?.(site);
    const plan = program.needsName
      ? program.start({...site, public: await (early ?? sideOf(options))})
      : program.start(site);
    if (signal?.aborted) throw new TunlError('ABORTED');
    options.onStart?.();
    const spawned = await spawnProgram({
      program,
      site,
      plan,
      graceMs,
      room,
      onChunk: (stream, chunk) => {
        tail.push(stream, chunk);
        forward?.push(stream, chunk);
      },
    });
    const side = early ?? sideOf(options);
    const readyTimeoutMs = options.readyTimeoutMs ?? program.readyTimeoutMs ?? 60_000;
    const {onNotice} = options;
    return new RunningProgram({
      program,
      site,
      side,
      spawned,
      tail,
      readyTimeoutMs,
      graceMs,
      room,
      signal,
      onNotice,
      cleanUp,
    });
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

/** Settles with the tunnel's names; rejects with the reason when there are none, or on abort. Never unhandled. */
function sideOf({public: given, signal}: LaunchOptions): Promise<PublicSide> {
  const side = new Promise<PublicSide>((resolve, reject) => {
    const abort = () => reject(new TunlError('ABORTED'));
    signal?.addEventListener('abort', abort, {once: true});
    void (typeof given === 'function' ? given() : Promise.resolve(given))
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener('abort', abort));
  });
  side.catch(() => {});
  return side;
}

async function portFor(
  program: Program,
  {port, room}: Pick<LaunchOptions, 'port' | 'room'>,
): Promise<number> {
  if (port === undefined) return program.choosesPort ? 0 : freePort();
  // A service that listens on this machine does not listen in the room.
  if (room === undefined && (await isTaken(port))) {
    throw new TunlError('PROGRAM_PORT_TAKEN', {
      reason: `Port ${port} is in use, so ${program.title} cannot listen on it.`,
    });
  }
  return port;
}
