#!/usr/bin/env node
// `tunl` from the sources, without building: Node strips the types, and imports of `./x.js` find `./x.ts`.
import {registerHooks} from 'node:module';

const src = new URL('../src/', import.meta.url).href;
registerHooks({
  resolve(specifier, context, next) {
    const isOwn = specifier.startsWith('.') && context.parentURL?.startsWith(src);
    return next(isOwn ? specifier.replace(/\.js$/, '.ts') : specifier, context);
  },
});
const {main} = await import(`${src}lib/cli/main.ts`);
await main(process.argv.slice(2), import.meta.url, {development: true});
