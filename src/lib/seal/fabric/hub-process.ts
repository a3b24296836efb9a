// The shell that keeps the namespaces of a machine's members: its start, its answers and its end.

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';
import {withStreams} from '../child-streams.js';
import {PROGRAM_PATH} from '../holder.js';
import {programPath} from '../obstacles.js';
import {hubAddresses} from './addresses.js';
import {type HolderPlan, HUB_HOLDER, holderEnv} from './holder.js';
import {wayOutRules} from './way-out.js';

/** The kernel ends a process namespace when its first process has ended; programs may be many. */
const END_MS = 5_000;
const MAX_STDERR = 4_096;

export class HubProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly #lines: AsyncIterator<string>;
  #said = '';
  #isKilled = false;

  /** @throws Error of the system */
  constructor(plan: HolderPlan, hosts: string, inUser: boolean) {
    const hub = hubAddresses(plan.prefix);
    const doors = fileURLToPath(new URL('dist/bundle/seal/doors.js', packageRoot));
    const child = spawn(
      programPath('unshare') ?? 'unshare',
      [
        ...(inUser ? ['--user', '--map-current-user', '--keep-caps'] : []),
        ...['--net', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc', '--'],
        ...['/bin/sh', '-c', HUB_HOLDER, String(plan.size), process.execPath, doors, hub.v4, hub.v6],
      ],
      {
        // A signal for the terminal's group must not end it while the programs are given time.
        detached: true,
        cwd: '/',
        env: {PATH: PROGRAM_PATH, ...holderEnv(plan, hosts)},
        stdio: ['pipe', 'pipe', 'pipe', 'ipc', 'pipe'],
      },
    );
    this.child = withStreams(child);
    this.child.stderr?.on('data', (piece: Buffer) => {
      if (this.#said.length < MAX_STDERR) this.#said += piece.toString('latin1');
    });
    for (const pipe of [this.child.stdin, this.child.stdio[4]]) pipe?.on('error', () => {});
    this.child.on('error', (error) => {
      this.#said += error.message;
    });
    const gone = () => {};
    this.ended = once(this.child, 'exit').then(gone, gone);
    this.#lines = createInterface({input: this.child.stdout as NodeJS.ReadableStream})[
      Symbol.asyncIterator
    ]();
    if (plan.hasWayOut) (this.child.stdio[4] as NodeJS.WritableStream).end(wayOutRules(plan.prefix));
  }

  /** Its messages, when it has failed. */
  get said(): string {
    return this.#said;
  }

  /** After its end: it was not this process that ended it. */
  get wasLost(): boolean {
    const {exitCode, signalCode} = this.child;
    return !this.#isKilled && (signalCode !== null || (exitCode !== null && exitCode !== 0));
  }

  /** Undefined: it has ended. */
  async line(): Promise<string | undefined> {
    return (await Promise.race([this.#lines.next(), this.ended]))?.value;
  }

  tell(word: string): void {
    this.child.stdin?.write(`${word}\n`);
  }

  /** Everything inside has ended when it resolves. */
  async end(): Promise<void> {
    // Its first process ends with its stdin. One that does not read it is killed with its parent.
    this.child.stdin?.destroy();
    const timer = setTimeout(() => {
      this.#isKilled = true;
      this.child.kill('SIGKILL');
    }, END_MS);
    if (this.child.pid === undefined) return clearTimeout(timer);
    await this.ended;
    clearTimeout(timer);
    for (const pipe of this.child.stdio) pipe?.destroy();
    if (this.child.connected) this.child.disconnect();
  }
}
