// The name and version that this program gives to its peers.

import {createRequire} from 'node:module';

const {version} = createRequire(import.meta.url)('../../../package.json') as {version: string};

/** `tunl/0.1.0` */
export const software = `tunl/${version}`;
