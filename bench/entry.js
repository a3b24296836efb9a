// Runs the TypeScript of this folder without a build: Node strips the types, a hook finds `./x.ts` for `./x.js`.
import nodeModule from 'node:module';

export async function loadTypeScript(file) {
  if (!process.features.typescript || nodeModule.registerHooks === undefined) {
    process.stderr.write(
      `The bench needs the project's pinned Node; this is ${process.version} (${process.execPath}).\n` +
        'Next step: npm run bench -- …, or put node_modules/.bin first in PATH.\n',
    );
    process.exitCode = 2;
    return;
  }
  nodeModule.registerHooks({
    resolve: (specifier, context, next) => {
      const ours = /^\.\.?\//.test(specifier) && context.parentURL?.endsWith('.ts');
      return next(ours ? specifier.replace(/\.js$/, '.ts') : specifier, context);
    },
  });
  await import(file);
}
