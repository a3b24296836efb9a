// For a person at a terminal: a spinner while there is nothing to see yet, then lines with glyphs and colours.
// chalk and ora are loaded when the first line or a long wait needs them: the address must not wait for its decoration.

import type {ChalkInstance} from 'chalk';
import type {Ora} from 'ora';
import type {CliEvent} from '../events.js';
import {Throttle} from '../throttle.js';
import {type Line, sentences, type Tone} from '../wording.js';
import {oneLine} from '../words.js';
import {StickyBlock} from './block.js';
import type {Renderer} from './renderer.js';
import {Status} from './status.js';

/** A wait that is shorter needs no spinner: it would only flicker. */
const SPINNER_AFTER_MS = 150;

const GLYPHS: Readonly<Record<Tone, string>> = {good: '✔ ', warning: '⚠ ', bad: '✗ ', plain: '', faint: ''};

export class LiveRenderer implements Renderer {
  readonly #stream: NodeJS.WriteStream;
  readonly #throttle = new Throttle();
  #isUp = false;
  #ended = false;
  #waiting: NodeJS.Timeout | undefined;
  #spinner: Ora | undefined;
  #chalk: ChalkInstance | undefined;
  #loading = false;
  #lines: Line[] = [];
  readonly #status = new Status();
  /** Undefined once a program writes to the terminal as well: its lines may be half, and its bars move. */
  #block: StickyBlock | undefined;
  #ticking: NodeJS.Timeout | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#block = new StickyBlock(stream);
    stream.on('resize', this.#redraw);
    process.on('SIGCONT', this.#resume);
  }

  begin(what: string): void {
    // A terminal that was never told its size: ora would count endless rows to clear.
    if (this.#stream.columns === 0) return;
    this.#waiting = setTimeout(() => void this.#spin(what), SPINNER_AFTER_MS);
    this.#waiting.unref();
  }

  settle(): void {
    this.#isUp = true;
    this.#stopSpinner();
  }

  event(event: CliEvent): void {
    if (event.type === 'connection') {
      const {shown, hidden} = this.#throttle.admit();
      if (!shown) {
        this.#status.event(event);
        this.#redraw();
        return;
      }
      if (hidden > 0) this.#say([{tone: 'faint', text: `… and ${hidden} more lines about connections`}]);
    }
    this.#status.event(event);
    const at = event.type === 'connection' ? `${timeOfDay()}  ` : '';
    this.#say(sentences(event, this.#isUp).map((line) => ({...line, text: at + line.text})));
    this.#redraw();
    // While the link is away its time counts on.
    if (event.type === 'reconnecting') this.#ticking ??= setInterval(this.#redraw, 1000).unref();
    if (event.type === 'resumed') this.#stopTicking();
  }

  tell(line: Line): void {
    this.#say([line]);
  }

  output(text: string): void {
    this.#spinner?.clear();
    this.#block?.end();
    this.#block = undefined;
    this.#stream.write(text);
  }

  log(line: string): void {
    this.#say([{tone: 'plain', text: line}]);
  }

  end(): void {
    this.#ended = true;
    this.#stopSpinner();
    this.#stopTicking();
    this.#stream.off('resize', this.#redraw);
    process.off('SIGCONT', this.#resume);
    this.#flush();
    this.#block?.end();
    this.#block = undefined;
  }

  #redraw = (): void => {
    if (this.#isUp && !this.#ended) this.#block?.show(this.#status.rows());
  };

  #resume = (): void => this.#block?.restart();

  #stopTicking(): void {
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }

  #say(lines: readonly Line[]): void {
    if (lines.length === 0) return;
    this.#lines.push(...lines);
    if (this.#chalk || this.#ended) this.#flush();
    else void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const {chalkStderr} = await import('chalk');
    this.#chalk = chalkStderr;
    this.#flush();
  }

  /** One write for all lines that wait; the spinner steps aside for it. */
  #flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.map((line) => `${this.#paint(line)}\n`).join('');
    this.#lines = [];
    this.#spinner?.clear();
    if (this.#block) this.#block.append(text);
    else this.#stream.write(text);
    this.#spinner?.render();
  }

  #paint({tone, text}: Line): string {
    const shown = GLYPHS[tone] + oneLine(text);
    const chalk = this.#chalk;
    if (!chalk) return shown;
    const colours = {
      good: chalk.green,
      warning: chalk.yellow,
      bad: chalk.red,
      plain: (plain: string) => plain,
      faint: chalk.dim,
    };
    return colours[tone](shown);
  }

  async #spin(what: string): Promise<void> {
    const {default: ora} = await import('ora');
    if (this.#isUp || this.#ended) return;
    // The cursor stays and stdin is left alone: a process that is killed leaves a sane terminal behind.
    this.#spinner = ora({text: what, stream: this.#stream, hideCursor: false, discardStdin: false}).start();
  }

  #stopSpinner(): void {
    clearTimeout(this.#waiting);
    this.#spinner?.stop();
    this.#spinner = undefined;
  }
}

function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}
