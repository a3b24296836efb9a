// `node:http` without the cost of an `import`: the module's namespace reads every export, and one of them loads fetch
// (about 40 ms at each start). Types are imported from 'node:http' as usual.

export const {createServer, request, STATUS_CODES} = process.getBuiltinModule('node:http');
