#!/usr/bin/env node
// npm links this file when it installs, before anything is built: so it is no build output.
import { launch } from './launch.mjs';

await launch('apps/cli/dist/main.js');
