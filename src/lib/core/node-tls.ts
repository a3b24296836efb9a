// `node:tls` without the cost of an `import`: the module's namespace reads every export, and one of them is the list of
// all authorities that Node knows (1 MB and a millisecond at each start). Types are imported from 'node:tls' as usual.

export const tls = process.getBuiltinModule('node:tls');
