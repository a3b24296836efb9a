// The help texts: examples first, flags in groups, no longer than a screen or two.

import {CommandHelp, Help} from '@oclif/core/help';

class TunlCommandHelp extends CommandHelp {
  /** The flags of every command come last. */
  protected override groupFlags(flags: Parameters<CommandHelp['groupFlags']>[0]) {
    const {flagGroups, mainFlags} = super.groupFlags(flags);
    const {output, ...own} = flagGroups;
    return {mainFlags, flagGroups: {...own, ...(output && {output})}};
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
    ].join('\n\n');
  }
}
