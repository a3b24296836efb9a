// Refuses a Node that is too old. The package's entry imports it first, so that this error comes before those of code that
// such a Node cannot run.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  throw new Error(`tunl needs Node 22.12 or newer; this is ${process.version} (${process.execPath}).`);
}
