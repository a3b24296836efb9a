// A terminal that hands over single keys: without echo, without waiting for Enter, but with Ctrl+C and Ctrl+Z as the kernel
// knows them. Node's own raw mode takes those away, and leaves the terminal raw when its process is killed. So `stty` sets
// it, by way of a small shell that outlives this process for the moment that it takes to put the terminal back.

import {type ChildProcess, spawn} from 'node:child_process';
import {createInterface, type Interface} from 'node:readline';
import type {Writable} from 'node:stream';
import {childEnv} from './child-env.js';

/**
 * Reads words on its descriptor 3, and answers each: `on` sets the mode if the terminal is this process group's (else
 * setting it would be in the way of the shell that has it), `off` puts back what was there.
 * At the end of its input it puts back what was there, unless somebody did already: a shell that is editing a line, or Node.
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

  /** False when the terminal is somebody else's at the moment, or there is no `stty`. */
  on(): Promise<boolean> {
    return this.#ask('on');
  }

  /** The terminal is as it was. */
  off(): Promise<boolean> {
    return this.#ask('off');
  }

  /** The terminal is as it was, soon. */
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
