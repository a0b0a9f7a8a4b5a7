/**
 * One part of Lockstep as a program of its own, for nx's targets, started as `lockstep` is:
 *
 *     node part.mjs coordinator/dist/main.js ARGUMENTS
 */
import { launch } from './launch.mjs';

const [entry] = process.argv.splice(2, 1);
await launch(`apps/${entry}`);
