// The help texts: examples first, flags in groups, no longer than a screen or two.

import {CommandHelp, Help} from '@oclif/core/help';

const TIMES = 'A TIME is a number with a unit: 30s, 90m, 2h, 7d, 1h30m.';
const GUIDES = 'Guides, JSON events, error codes: README.md and docs/ in the package’s folder.';

class TunlCommandHelp extends CommandHelp {
  /** The flags of every command come last. */
  protected override groupFlags(flags: Parameters<CommandHelp['groupFlags']>[0]) {
    const {flagGroups, mainFlags} = super.groupFlags(flags);
    const {output, ...own} = flagGroups;
    return {mainFlags, flagGroups: {...own, ...(output && {output})}};
  }

  /** `--lan[=ADDRESS]`: a value that may be left out. */
  protected override flagHelpLabel(...about: Parameters<CommandHelp['flagHelpLabel']>): string {
    return super.flagHelpLabel(...about).replace(/=\[(\w+)\]/, '[=$1]');
  }

  protected override sections() {
    const sections = super.sections();
    const isExample = ({header}: {header: string}) => header === 'EXAMPLES';
    return [...sections.filter(isExample), ...sections.filter((section) => !isExample(section))];
  }
}

export class TunlHelp extends Help {
  protected override CommandHelpClass = TunlCommandHelp;

  override formatRoot(): string {
    const [description = '', ...rest] = super.formatRoot().split('\n\n');
    const examples = [
      'tunl expose 8000',
      'tunl expose 5432 --tcp',
      'tunl expose -- npm run dev',
      'tunl jupyter',
      'tunl relay start',
    ];
    return [
      description,
      this.section('EXAMPLES', examples.map((line) => `$ ${line}`).join('\n')),
      ...rest,
      this.section('MORE', [TIMES, GUIDES].join('\n')),
    ].join('\n\n');
  }

  /** The command that people look for comes first, the others by name. */
  override get sortedCommands() {
    const sorted = super.sortedCommands;
    return [...sorted.filter(({id}) => id === 'expose'), ...sorted.filter(({id}) => id !== 'expose')];
  }
}
