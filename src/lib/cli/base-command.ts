// The base of every command: --json, -q, --log-level, exit codes, and one way to report errors.

import type {Interfaces} from '@oclif/core';
import {Command} from '@oclif/core/command';
import {report} from './failure.js';
import {outputFlags} from './flags.js';
import {createPresenter, type Presenter} from './presenter.js';
import {usageError, valueForSwitch} from './usage.js';
import {earlyFlags} from './words.js';

type Output = Record<string, unknown>;

export abstract class BaseCommand extends Command {
  static override baseFlags = outputFlags;

  /** True when words after `--` belong to another program. Otherwise such words are an error. */
  static passesWords = false;

  /** True when `--` may be left out before the words for another program. */
  static dashesOptional = false;

  /**
   * True when the standard streams belong to a program that runs in them: events go to stderr, and nothing reads keys or moves.
   */
  static sharesStreams = false;

  /** Spellings of flags that oclif does not know. */
  static spellings: ReadonlyMap<string, string> = new Map();

  #presenter: Presenter | undefined;

  /** Set by `parse`. */
  protected get presenter(): Presenter {
    if (!this.#presenter) throw new Error('a command parses before it speaks');
    return this.#presenter;
  }

  /** The words after `--`; undefined without it. Set by `parse`. */
  protected passedWords: readonly string[] | undefined;

  /** Replaces oclif's method, which searches all commands for deprecated aliases. */
  protected override async init(): Promise<void> {}

  protected override async parse<F extends Output, B extends Output, A extends Output>(
    input?: Interfaces.Input<F, B, A>,
    words = this.#ownWords(),
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const declared = this.#declared();
    const odd = valueForSwitch(words, declared);
    if (odd) throw odd;
    const parsed = await super.parse<F, B, A>(input, words);
    const {json = false, quiet = false, plain, 'log-level': logLevel} = parsed.flags as Wanted;
    const {sharesStreams} = this.ctor as typeof BaseCommand;
    this.#presenter = await createPresenter({
      json,
      quiet,
      plain: plain || sharesStreams,
      logLevel,
      sharesStreams,
    });
    return parsed;
  }

  /** Replaces oclif's method, which prints its whole context with the words of the command line. */
  protected override async catch(error: Error): Promise<void> {
    this.#presenter?.end();
    const declared = this.#declared();
    process.exitCode = report(
      usageError(error, declared) ?? error,
      {
        ...earlyFlags(this.argv),
        logsJson: this.#presenter?.logsJson ?? false,
        sharesStreams: (this.ctor as typeof BaseCommand).sharesStreams,
      },
      this.argv,
      declared.name,
    );
  }

  protected override async finally(): Promise<void> {
    this.#presenter?.end();
  }

  #ownWords(): string[] {
    const {passesWords, spellings} = this.ctor as typeof BaseCommand;
    const at = passesWords ? this.argv.indexOf('--') : -1;
    if (at >= 0) this.passedWords = this.argv.slice(at + 1);
    const own = at < 0 ? this.argv : this.argv.slice(0, at);
    return own.map((word) => spellings.get(word) ?? word);
  }

  #declared() {
    const {id, flags = {}, baseFlags, args = {}, passesWords} = this.ctor as typeof BaseCommand;
    const all: Interfaces.FlagInput = {...flags, ...baseFlags};
    return {
      name: id.replaceAll(':', ' '),
      flags: [...Object.keys(all), 'help'],
      switches: Object.keys(all).filter((name) => all[name]?.type === 'boolean'),
      args: Object.keys(args).map((name) => name.toUpperCase()),
      passesWords,
    };
  }
}

type Wanted = {
  [K in keyof typeof outputFlags]?: Awaited<ReturnType<(typeof outputFlags)[K]['parse']>>;
};
