// oclif's hook for an unknown command: suggests a similar one, and runs nothing.

import type {Hook} from '@oclif/core/hooks';
import {unknownCommand} from './usage.js';

export const commandNotFound: Hook<'command_not_found'> = async ({id, argv = [], config}) => {
  const known = config.commands.filter((command) => !command.hidden).map((command) => command.id);
  throw unknownCommand(
    id,
    [...known, ...config.topics.map((topic) => topic.name)].map((name) => name.replaceAll(':', ' ')),
    argv,
  );
};
