// The name and version that this program gives to its peers.

import {readFileSync} from 'node:fs';
import {packageRoot} from './package-root.js';

const {version} = JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')) as {version: string};

/** `tunl/0.1.0` */
export const software = `tunl/${version}`;
