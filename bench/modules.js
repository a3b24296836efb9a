// `tunl` from the modules of dist/ instead of the bundle, so that a profile tells the modules apart.
const bin = new URL('../bin/run.js', import.meta.url).href;
const {main} = await import('../dist/lib/cli/main.js');
await main(process.argv.slice(2), bin);
