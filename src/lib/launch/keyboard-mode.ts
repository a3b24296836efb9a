// Terminal mode for single keys: without echo, without waiting for Enter, but the kernel still handles Ctrl+C and Ctrl+Z.
// Node's own raw mode disables those, and leaves the terminal raw when the process is killed. So `stty` sets the mode, in a
// small shell that outlives this process for the time that it needs to restore the terminal.

import {type ChildProcess, spawn} from 'node:child_process';
import {createInterface, type Interface} from 'node:readline';
import type {Writable} from 'node:stream';
import {childEnv} from '../core/child-env.js';

/**
 * Reads words on descriptor 3 and answers each: `on` sets the mode if this process group is in the foreground of the terminal
 * (otherwise the shell would be disturbed), `off` restores the old mode. At the end of its input it restores the old mode,
 * unless another program has set one already: a shell that edits a line, or Node.
 */
const SCRIPT = `
trap '' INT TERM HUP QUIT TSTP TTIN TTOU
front() {
  if read -r stat < /proc/$$/stat; then set -- \${stat##*) }; [ "$3" = "$6" ]
  else [ "$(echo $(ps -o pgid= -p $$))" = "$(echo $(ps -o tpgid= -p $$))" ]; fi
}
saved=$(stty -g) || exit 1
ours=
while read -r word <&3; do
  case $word in
    on) if front && stty -icanon -echo min 1 time 0; then ours=$(stty -g); echo yes; else echo no; fi ;;
    off) stty "$saved"; echo yes ;;
  esac
done
[ "$(stty -g)" = "$ours" ] && stty "$saved"
`;

export class KeyboardMode implements Disposable {
  readonly #shell: ChildProcess;
  readonly #answers: Interface;
  readonly #waiting: Array<(isDone: boolean) => void> = [];

  constructor() {
    this.#shell = spawn('sh', ['-c', SCRIPT], {
      env: childEnv(),
      stdio: ['inherit', 'pipe', 'ignore', 'pipe'],
    });
    this.#answers = createInterface({input: this.#shell.stdout as NonNullable<ChildProcess['stdout']>});
    this.#answers.on('line', (line) => this.#waiting.shift()?.(line === 'yes'));
    const gone = () => {
      for (const answer of this.#waiting.splice(0)) answer(false);
    };
    this.#shell.once('error', gone);
    this.#shell.once('exit', gone);
    this.#words.on('error', gone);
    this.#shell.unref();
  }

  /** False when another process group has the terminal, or `stty` is missing. */
  on(): Promise<boolean> {
    return this.#ask('on');
  }

  /** Restores the terminal. */
  off(): Promise<boolean> {
    return this.#ask('off');
  }

  /** Restores the terminal soon. */
  [Symbol.dispose](): void {
    this.#words.end();
    this.#answers.close();
  }

  get #words(): Writable {
    return this.#shell.stdio[3] as Writable;
  }

  #ask(word: string): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#shell.exitCode !== null || this.#shell.pid === undefined) return resolve(false);
      this.#waiting.push(resolve);
      this.#words.write(`${word}\n`);
    });
  }
}
