#!/usr/bin/env node
// npm links this file when it installs, before anything is built: so it is no build output.
await import('../dist/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error(`Lockstep is not built (${error.message}); run: npm run setup`);
  process.exitCode = 1;
});
