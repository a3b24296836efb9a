// The argument that names a token of the registry.

import {string} from '@oclif/core/args';

export const tokenArg = {
  id: string({
    required: true,
    ignoreStdin: true,
    description: 'The ID in `tunl relay token list`, or the NAME.',
  }),
};
