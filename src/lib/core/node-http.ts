// `node:http` without the cost of an `import`: the module's namespace reads every export, and one of them loads fetch
// (about 40 ms at each start). It is loaded at the first call. Types are imported from 'node:http' as usual.

import type * as http from 'node:http';

type Http = typeof http;

const load = (): Http => process.getBuiltinModule('node:http');

export const createServer = ((...options: Parameters<Http['createServer']>) =>
  load().createServer(...options)) as Http['createServer'];

export const request = ((...options: Parameters<Http['request']>) =>
  load().request(...options)) as Http['request'];
