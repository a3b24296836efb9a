// The argument and flags that the commands for users of a hub share.

import {string} from '@oclif/core/args';
import {setting, wholeNumber} from '../../core/settings.js';
import {flagOf} from '../setting-flags.js';

export const userArg = {
  name: string({required: true, ignoreStdin: true, description: 'The name of the user.'}),
};

export const quotaFlag = {
  quota: flagOf(setting(wholeNumber({min: 0, max: 1_000}), {help: 'Sessions of the user at the same time.'})),
};
