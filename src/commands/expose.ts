// `tunl expose`: a public address for a local port, or for a command that opens one.

import {checkExposeFlags} from '../lib/cli/combinations.js';
import {outputValve} from '../lib/cli/output-valve.js';
import {openingsOf, splitTarget, targetArgs} from '../lib/cli/targets.js';
import {TunnelCommand} from '../lib/cli/tunnel-command.js';
import {commandFlags, exposeFlags, lanSpelling} from '../lib/cli/tunnel-flags.js';

export default class Expose extends TunnelCommand {
  static override summary = 'Give a local port, socket or folder a public address.';
  static override usage = ['expose [NAME=]TARGET[:tcp]… [FLAGS]', 'expose [PORT] [FLAGS] -- COMMAND…'];
  static override examples = [
    ['<%= config.bin %> expose 8000', '<%= config.bin %> expose 3000 5432:tcp demo=./dist'].join('\n'),
  ];
  static override passesWords = true;
  static override spellings = new Map([['--h2=only', '--h2'], lanSpelling]);
  static override args = targetArgs;
  static override flags = {...exposeFlags, ...commandFlags};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Expose);
    // `--` before a number ends the flags, because no command has such a name.
    const [first = '', ...others] = this.passedWords ?? [];
    const isTarget = /^[+-]?\d+$/.test(first) && others.length === 0 && args.target === undefined;
    const words = isTarget ? [first] : (args.target ?? []);
    const hasCommand = this.passedWords !== undefined && !isTarget;
    const targets = words.map((word) => splitTarget(word).target);
    const {net} = flags;
    if (net !== undefined) {
      const {memberOpenings} = await import('../lib/cli/network/openings.js');
      const openings = memberOpenings(words, {...flags, net, hasCommand, tell: this.presenter.tell});
      checkExposeFlags(flags, {targets, hasCommand});
      return await this.holdTunnels(flags, openings);
    }
    checkExposeFlags(flags, {targets, hasCommand});
    if (this.passedWords && hasCommand) {
      const {passedCommand} = await import('../lib/cli/passed-command.js');
      const {program, port} = passedCommand({
        words: this.passedWords,
        target: words[0],
        localHost: flags['local-host'],
        readyPath: flags['ready-path'],
      });
      const openRoom =
        flags.egress === undefined
          ? undefined
          : (await import('../lib/cli/egress/room.js')).roomBehind(
              {...flags, egress: flags.egress},
              this.presenter,
            );
      return await this.holdProgram(program, flags, {
        openRoom,
        launch: {onOutput: outputValve(this.presenter.output), port, readyTimeoutMs: flags['ready-timeout']},
      });
    }
    await this.holdTunnels(flags, openingsOf(words, {...flags, tell: this.presenter.tell}));
  }
}
