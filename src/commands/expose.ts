// `tunl expose`: a public address for a local port, or for a command that opens one.

import {string} from '@oclif/core/args';
import {portOrTarget} from '../lib/agent/upstreams/target.js';
import {checkExposeFlags} from '../lib/cli/combinations.js';
import {given} from '../lib/cli/flags.js';
import {outputValve} from '../lib/cli/output-valve.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {commandFlags, exposeFlags} from '../lib/cli/tunnel-flags.js';
import {TunlError} from '../lib/core/errors.js';
import {forward} from '../lib/forward.js';

export default class Expose extends TunnelCommand {
  static override summary = 'Give a local port, socket or folder a public address.';
  static override usage = ['expose TARGET [FLAGS]', 'expose [PORT] [FLAGS] -- COMMAND…'];
  static override examples = [
    [
      '<%= config.bin %> expose 8000',
      '<%= config.bin %> expose 5432 --tcp',
      '<%= config.bin %> expose ./dist --subdomain demo',
    ].join('\n'),
  ];
  static override passesWords = true;
  static override spellings = new Map([['--h2=only', '--h2']]);
  static override args = {
    target: string({
      ignoreStdin: true,
      description: 'PORT, HOST:PORT, unix:/path, https://host:port, or a folder: ./dist.',
    }),
  };
  static override flags = {...exposeFlags, ...commandFlags};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Expose);
    // `--` before a number is the end of the flags: no command is called so.
    const [first = '', ...others] = this.passedWords ?? [];
    const isTarget = /^[+-]?\d+$/.test(first) && others.length === 0 && args.target === undefined;
    const target = isTarget ? first : args.target;
    const hasCommand = this.passedWords !== undefined && !isTarget;
    checkExposeFlags(flags, {target, hasCommand});
    if (this.passedWords && hasCommand) {
      const {passedCommand} = await import('../lib/cli/passed-command.js');
      const {program, port} = passedCommand({
        words: this.passedWords,
        target,
        localHost: flags['local-host'],
        readyPath: flags['ready-path'],
      });
      return await this.holdProgram(program, flags, {
        launch: {onOutput: outputValve(this.presenter.output), port, readyTimeoutMs: flags['ready-timeout']},
      });
    }
    if (target === undefined)
      throw new TunlError('USAGE', {reason: '`tunl expose` needs a TARGET, or a command after `--`.'});
    const host = flags['local-host'];
    const place = portOrTarget(target, host);
    await this.holdTunnel(flags, (options) => forward(place, {...options, ...given({host})}));
  }
}
