// A real terminal: a shell in tmux that a test types into and reads. Each has its own server, which ends with the scope.
import {execFile} from 'node:child_process';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {cleanEnv} from './child.js';
import type {Scope} from './scope.js';

const execute = promisify(execFile);
/** How long something may take to appear. */
const SEEN_WITHIN_MS = 30_000;

export interface ScreenOptions {
  columns?: number;
  rows?: number;
  env?: Record<string, string>;
  cwd?: string;
  /** Default `bash --norc`. */
  shell?: string;
}

export class Screen {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  static async start(scope: Scope, options: ScreenOptions = {}): Promise<Screen> {
    const {columns = 80, rows = 24, shell = 'bash --norc', cwd = '/tmp'} = options;
    const screen = new Screen(join(await scope.tempDir('tmux'), 'socket'));
    const env = {...cleanEnv(), ...options.env};
    const size = ['-x', String(columns), '-y', String(rows), '-c', cwd];
    const settings = Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    await screen.#tmux(['new-session', '-d', ...size, ...settings, shell]);
    scope.onEnd(async () => {
      await screen.#tmux(['kill-server']).catch(() => {});
    });
    await screen.run("PS1='$ '; clear");
    await screen.until((lines) => lines.join('') === '$');
    return screen;
  }

  /** Names of keys (`C-c`, `Enter`) or text. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(['send-keys', ...keys]);
  }

  /** Text without Enter. */
  async type(text: string): Promise<void> {
    await this.#tmux(['send-keys', '-l', '--', text]);
  }

  /** One line for the shell. */
  async run(command: string): Promise<void> {
    await this.#tmux(['send-keys', '-l', command]);
    await this.press('Enter');
  }

  /** Closes the window, as a user does. */
  async close(): Promise<void> {
    await this.#tmux(['kill-server']);
  }

  /** Copies every byte that programs write to the terminal into a file. */
  async record(path: string): Promise<void> {
    await this.#tmux(['pipe-pane', `cat > '${path}'`]);
  }

  /** Resolves when the program can know the new size: tmux reports a second change a quarter of a second later. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(['resize-window', '-x', String(columns), '-y', String(rows)]);
    const tty = await this.#tty();
    while ((await execute('stty', ['size', '-F', tty])).stdout.trim() !== `${rows} ${columns}`)
      await sleep(20);
  }

  /** Everything that was written, with the scrollback, without empty rows at the end. */
  async lines(): Promise<string[]> {
    return (await this.#tmux(['capture-pane', '-p', '-S', '-500'])).trimEnd().split('\n');
  }

  /** Resolves with the lines when `wanted` holds. */
  async until(wanted: (lines: string[]) => boolean): Promise<string[]> {
    const until = performance.now() + SEEN_WITHIN_MS;
    for (;;) {
      const lines = await this.lines();
      if (wanted(lines)) return lines;
      if (performance.now() > until) throw new Error(`not seen on the screen:\n${lines.join('\n')}`);
      await sleep(50);
    }
  }

  /** Resolves when a line matches, with the match. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    const lines = await this.until((all) => all.some((line) => pattern.test(line)));
    return pattern.exec(lines.find((line) => pattern.test(line)) ?? '') as RegExpExecArray;
  }

  /** Whether the terminal waits for whole lines, echoes input, and turns Ctrl+C into a signal. */
  async modes(): Promise<{icanon: boolean; echo: boolean; isig: boolean}> {
    const {stdout} = await execute('stty', ['-a', '-F', await this.#tty()]);
    const isOn = (name: string) => new RegExp(`(^|\\s)${name}\\b`).test(stdout);
    return {icanon: isOn('icanon'), echo: isOn('echo'), isig: isOn('isig')};
  }

  async #tty(): Promise<string> {
    return (await this.#tmux(['display-message', '-p', '#{pane_tty}'])).trim();
  }

  async #tmux(words: string[]): Promise<string> {
    const args = ['-S', this.#socket, '-f', '/dev/null', ...words];
    return (await execute('tmux', args, {env: cleanEnv()})).stdout;
  }
}
