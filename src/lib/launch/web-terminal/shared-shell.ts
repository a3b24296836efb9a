// One shell for all visitors: it starts when the window size of the first one is known, and everybody sees the same screen.
//
//   pty ──▶ whole sequences ──▶ screen ──▶ pages that follow
//
// Pages get the output when the screen has read it. So a drawing of the screen and the output after it always fit together.
import {type Exit, exitBy} from '../exit.js';
import type {PageMessage} from './messages.js';
import {Pty} from './pty.js';
import {Screen, type Size} from './screen.js';
import {type PageSocket, Visitor} from './visitor.js';
import {WholeSequences} from './whole-sequences.js';

export interface SharedShellOptions {
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly readOnly: boolean;
  /** The shell has ended, and the pages have been sent its last output. */
  readonly onEnd: (exit: Exit) => void;
  /** Another pseudo-terminal, for tests. */
  readonly startPty?: (options: ConstructorParameters<typeof Pty>[0]) => Pick<Pty, keyof Pty>;
}

const FIRST_SIZE: Size = {cols: 80, rows: 24};
/** Output that the screen has not read yet, bytes: above this the shell must wait. */
const MOST_UNREAD = 128 * 1_024;

export class SharedShell {
  readonly #options: SharedShellOptions;
  readonly #visitors = new Set<Visitor>();
  readonly #whole = new WholeSequences();
  readonly #screen = new Screen(FIRST_SIZE, (answer) => this.#pty?.write(answer));
  #pty: Pick<Pty, keyof Pty> | undefined;
  #unread = 0;

  constructor(options: SharedShellOptions) {
    this.#options = options;
  }

  join(socket: PageSocket): Visitor {
    const visitor = new Visitor(socket, this.#screen, this.#options.readOnly);
    this.#visitors.add(visitor);
    return visitor;
  }

  leave(visitor: Visitor): void {
    this.#visitors.delete(visitor);
    this.#fit();
    this.#pace();
  }

  /** False for a message that our page never sends. */
  message(visitor: Visitor, message: PageMessage): boolean {
    if (message.type === 'ack') {
      if (!visitor.acknowledge(message.bytes)) return false;
    } else {
      visitor.size = message.size;
      this.#fit();
      this.#pty ??= this.#start();
      visitor.catchUp();
    }
    this.#pace();
    return true;
  }

  /** False for more bytes than a page may send. */
  input(visitor: Visitor, bytes: Uint8Array): boolean {
    if (!this.#options.readOnly) this.#pty?.write(bytes);
    return visitor.input(bytes.length, this.#pty?.full);
  }

  /** `onEnd` reports its end, if it has started. */
  hangUp(): boolean {
    this.#pty?.hangUp();
    return this.#pty !== undefined;
  }

  tellEnd(exit: Exit): void {
    for (const visitor of this.#visitors) visitor.tell({type: 'end', ...exit});
  }

  #start(): Pick<Pty, keyof Pty> {
    const {command, env, cwd, startPty = (options) => new Pty(options)} = this.#options;
    return startPty({
      ...{command, env, cwd, size: this.#screen.size},
      onData: (chunk) => this.#output(this.#whole.push(chunk)),
      onExit: ({code, signal}) => {
        const exit = exitBy(code, signal);
        this.#output(this.#whole.rest());
        // After the last output.
        this.#screen.write(new Uint8Array(), () => this.#options.onEnd(exit));
      },
    });
  }

  #output(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#unread += bytes.length;
    this.#screen.write(bytes, () => {
      this.#unread -= bytes.length;
      for (const visitor of this.#visitors) visitor.output(bytes);
      this.#pace();
    });
    this.#pace();
  }

  /** The shell does not wait for a page that is slower than others, or hidden. */
  #pace(): void {
    const seen = [...this.#visitors].filter((visitor) => visitor.isSeen);
    const allFull = seen.length > 0 && !seen.some((visitor) => visitor.goesOn);
    this.#pty?.hold(allFull || this.#unread > MOST_UNREAD);
  }

  /** The size that fits into every visible window. */
  #fit(): void {
    const sizes = [...this.#visitors].flatMap(({size}) => size ?? []);
    if (sizes.length === 0) return;
    const size = {
      cols: Math.min(...sizes.map(({cols}) => cols)),
      rows: Math.min(...sizes.map(({rows}) => rows)),
    };
    const {cols, rows} = this.#screen.size;
    if (size.cols === cols && size.rows === rows) return;
    this.#screen.resize(size);
    this.#pty?.resize(size);
    for (const visitor of this.#visitors) visitor.tellSize();
  }
}
